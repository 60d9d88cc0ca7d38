"""Callers that hang up or run out of time, in every protocol: no picture reaches the engine.

The service has every middleware that it ships.
"""

import asyncio
import base64
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from model.artifact import Artifact
from tests.app.conftest import SOON_S, HeldEngine, make_app
from tests.app.live import serving
from tests.fakes import paint, to_bytes

CONFIG = (
    '<View><Image name="i" value="$image"/><BrushLabels name="b" toName="i">'
    '<Label value="car"/></BrushLabels></View>'
)


KEY = "a-key-of-the-tests"
HEADERS = {"X-API-Key": KEY, "Origin": "https://example.org", "X-Priority": "interactive"}


@pytest.fixture(scope="module")
def held(
    artifact: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[HeldEngine, str]]:
    engine = HeldEngine(max_batch=1)
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"tests:{KEY}\n", encoding="utf-8")
    app = make_app(
        artifact,
        engine,
        vertex_predict_route="/predict",
        api_keys_file=keys,
        cors_origins=("https://example.org",),
    )
    with serving(app) as address:
        yield engine, f"http://{address}"
        engine.open.set()


def requests(picture: bytes) -> dict[str, dict[str, Any]]:
    text = base64.b64encode(picture).decode()
    oip = {"name": "image", "datatype": "BYTES", "shape": [3], "data": [text] * 3}
    tasks = [{"id": index, "data": {"image": text}} for index in range(3)]
    return {
        "/segment": {"content": picture},
        "/segment/batch": {"files": [("image", ("x.png", picture))] * 3},
        "/v2/models/fake/infer": {"json": {"inputs": [oip]}},
        "/huggingface": {"content": picture},
        "/label-studio/predict": {"json": {"tasks": tasks, "label_config": CONFIG}},
        "/invocations": {"content": picture},
        "/predict": {"json": {"instances": [{"image": text}] * 3}},
    }


def wait_until_nobody_waits(url: str) -> None:
    soon_s = time.monotonic() + SOON_S
    idle = ('maskformer_queue_size{model="fake"} 0.0', "maskformer_inflight_requests 1.0")
    while not all(line in httpx.get(f"{url}/metrics", headers=HEADERS).text for line in idle):
        assert time.monotonic() < soon_s
        time.sleep(0.01)


@pytest.mark.parametrize("path", requests(b""))
def test_who_leaves_costs_the_engine_nothing(held, picture: bytes, path: str) -> None:
    engine, url = held
    engine.forget()
    engine.open.clear()
    body = requests(picture)[path]

    async def hold_and_leave() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=SOON_S, headers=HEADERS) as web:
            first = asyncio.ensure_future(web.post("/segment", content=picture))
            await asyncio.wait_for(engine.hold(), SOON_S)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(web.post(path, **body), 0.2)
            late = await web.post(path, headers={"X-Request-Timeout-Ms": "100"}, **body)
            assert b"deadline_exceeded_error" in late.content
            first.cancel()

    try:
        asyncio.run(hold_and_leave())
        wait_until_nobody_waits(url)
    finally:
        engine.open.set()
    again = httpx.post(f"{url}{path}", timeout=SOON_S, headers=HEADERS, **body)
    assert again.status_code == 200
    last = 3 if "files" in body or "json" in body else 1
    assert engine.pictures == 1 + last


@pytest.mark.parametrize("path", ["/segment", "/segment/batch", "/v2/models/fake/infer"])
def test_who_leaves_amid_a_picture_in_tiles_frees_the_rest(
    held, artifact: Artifact, path: str
) -> None:
    engine, url = held
    engine.forget()
    engine.open.clear()
    # 15 windows of 64.
    big = to_bytes(paint(artifact, np.random.default_rng(0).integers(0, 4, (5, 8))))
    image = base64.b64encode(big).decode()
    oip = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [image]}
    body: dict[str, Any] = {
        "/segment": {"params": {"tile": "64"}, "content": big},
        "/segment/batch": {"params": {"tile": "64"}, "files": [("image", ("x.png", big))] * 3},
        "/v2/models/fake/infer": {"json": {"inputs": [oip], "parameters": {"tile": 64}}},
    }[path]

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=SOON_S, headers=HEADERS) as web:
            tiled = asyncio.ensure_future(web.post(path, **body))
            await asyncio.wait_for(engine.hold(), SOON_S)
            tiled.cancel()
            await asyncio.gather(tiled, return_exceptions=True)

    try:
        asyncio.run(leave())
        wait_until_nobody_waits(url)
    finally:
        engine.open.set()
    assert httpx.post(f"{url}/segment", headers=HEADERS, content=big).status_code == 200
    assert engine.pictures == 1 + 1
