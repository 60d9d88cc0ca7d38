"""The bundled model, changed on disk and loaded again while pictures come."""

import asyncio
import json
import shutil
from pathlib import Path

import httpx

from app.main import create_app
from app.settings import Settings

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "samples" / "2000010.jpg").read_bytes()


def copy(folder: Path, source: str) -> None:
    """The bundled model with another word on where it comes from, so with another hash."""
    shutil.copytree(ROOT / "weights" / "scenes", folder)
    manifest = json.loads((folder / "artifact.json").read_text(encoding="utf-8"))
    (folder / "artifact.json").write_text(
        json.dumps(manifest | {"source": source}), encoding="utf-8"
    )


def test_a_new_version_is_swapped_in_and_the_old_one_unloaded(tmp_path: Path) -> None:
    copy(tmp_path / "weights/mine/1", "the first")
    settings = Settings(
        models=("mine",),
        weights_dir=tmp_path / "weights",
        cache_dir=tmp_path / "cache",
        allow_model_control=True,
        models_memory_mb=4000,
    )
    app = create_app(settings)

    async def scenario() -> None:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as caller,
        ):
            is_loading = True

            async def ask_on() -> list[dict]:
                answers = []
                while is_loading or not answers or answers[-1]["model_hash"] != new["hash"]:
                    answer = await caller.post("/segment", content=SAMPLE)
                    assert answer.status_code == 200, answer.text
                    answers.append(answer.json())
                return answers

            new: dict = {}
            asked = [asyncio.ensure_future(ask_on()) for _ in range(2)]
            await asyncio.to_thread(copy, tmp_path / "weights/mine/2", "the second")
            new |= (await caller.post("/models/mine/load")).json()
            is_loading = False
            answers = [answer for answers in await asyncio.gather(*asked) for answer in answers]
            assert (new["version"], new["source"]) == ("2", "the second")
            assert new["memory_mb"] > 8
            assert len({answer["model_hash"] for answer in answers}) == 2
            (areas,) = {tuple(row["area"] for row in answer["segments"]) for answer in answers}
            assert len(areas) > 3
            rows = (await caller.get("/models")).json()["not_loaded"]
            assert [row["version"] for row in rows] == ["1"]
            answer = await caller.post("/segment?model=mine@1", content=SAMPLE)
            assert answer.json()["model_hash"] != new["hash"]

    asyncio.run(scenario())
