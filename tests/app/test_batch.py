"""Many pictures in one request: lines in order of completion, one bad picture failing alone."""

import asyncio
import json
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from model.artifact import Artifact
from tests.app.conftest import SOON_S, HeldEngine, make_app
from tests.app.live import serving
from tests.fakes import paint, to_bytes

WHITE = to_bytes(np.full((64, 64, 3), 255, np.uint8))


def form(*pictures: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", (f"{index}.png", picture)) for index, picture in enumerate(pictures)]


def lines(answer: httpx.Response) -> list[dict]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    return sorted(map(json.loads, answer.text.splitlines()), key=lambda row: row["index"])


def test_each_line_is_the_answer_alone(client: TestClient, artifact: Artifact) -> None:
    rng = np.random.default_rng(1)
    pictures = [
        to_bytes(paint(artifact, rng.integers(0, 4, (2, 2 + index % 2)))) for index in range(12)
    ]
    got = lines(client.post("/segment/batch?mode=instance&masks=png", files=form(*pictures)))
    assert [row["index"] for row in got] == list(range(12))
    for row, picture in zip(got, pictures, strict=True):
        alone = client.post("/segment?mode=instance&masks=png", content=picture).json()
        assert (row.pop("index"), row.pop("status")) == (int(row.pop("file")[:-4]), 200)
        del row["timing_ms"], alone["timing_ms"]
        assert row == alone


def test_bad_pictures_fail_alone(client: TestClient, picture: bytes) -> None:
    got = lines(
        client.post("/segment/batch", files=form(picture, b"hello", WHITE, picture, picture[:100]))
    )
    assert [row["status"] for row in got] == [200, 415, 500, 200, 400]
    assert [row.get("error_type") for row in got] == [
        None,
        "unsupported_image_error",
        "engine_error",
        None,
        "invalid_image_error",
    ]
    assert all("expected" in row["error"] for row in got if row["status"] != 200)


def test_what_is_wrong_with_all_is_refused_at_once(client, engine, picture) -> None:
    engine.forget()
    files = form(picture)

    def status(path: str = "", **options: object) -> int:
        answer = client.post(f"/segment/batch{path}", **options)
        assert "expected" in answer.json()["error"]
        return answer.status_code

    assert status(content=picture) == 415
    assert status(files=[("other", ("x.txt", b"x"))]) == 422
    assert status(files=form(*[picture] * 33)) == 422
    assert status("?mode=boxes", files=files) == 422
    assert status("?classes=dog", files=files) == 422
    assert status("?format=png", files=files) == 422
    assert status("?model=nobody", files=files) == 404
    assert status(files=files, headers={"X-Request-Timeout-Ms": "soon"}) == 422
    assert engine.pictures == 0


def test_lines_come_as_soon_as_they_are_ready(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine(max_batch=1)
    with (
        serving(make_app(artifact, engine)) as address,
        httpx.Client(base_url=f"http://{address}", timeout=SOON_S) as web,
    ):
        engine.open.clear()
        files = form(picture, b"hello")
        with web.stream("POST", "/segment/batch", files=files) as answer:
            rows = answer.iter_lines()
            assert json.loads(next(rows))["index"] == 1
            engine.open.set()
            assert json.loads(next(rows))["index"] == 0
            assert list(rows) == []


def test_a_deadline_ends_every_picture_that_waits(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine(max_batch=1)
    with serving(make_app(artifact, engine)) as address:
        engine.open.clear()
        try:
            got = lines(
                httpx.post(
                    f"http://{address}/segment/batch",
                    files=form(*[picture] * 5),
                    headers={"X-Request-Timeout-Ms": "200"},
                    timeout=SOON_S,
                )
            )
        finally:
            engine.open.set()
    assert [row["status"] for row in got] == [504] * 5


@pytest.fixture
def held(artifact: Artifact) -> Iterator[tuple[HeldEngine, str]]:
    engine = HeldEngine(max_batch=1)
    app = make_app(artifact, engine, max_queue=3, max_concurrent_requests=1)
    with serving(app) as address:
        engine.forget()
        yield engine, f"http://{address}"
        engine.open.set()


def test_a_caller_that_leaves_frees_its_place(held, picture: bytes) -> None:
    engine, url = held
    engine.open.clear()

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=url) as web:
            request = web.post("/segment/batch", files=form(*[picture] * 3))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(request, 0.3)

    asyncio.run(leave())
    engine.open.set()
    soon_s = time.monotonic() + SOON_S
    while (answer := httpx.post(f"{url}/segment/batch", files=form(picture))).status_code == 429:
        assert time.monotonic() < soon_s
        time.sleep(0.01)
    assert len(lines(answer)) == 1


def test_more_pictures_than_the_queue_holds_are_answered(held, picture: bytes) -> None:
    _, url = held
    got = lines(httpx.post(f"{url}/segment/batch", files=form(*[picture] * 20), timeout=SOON_S))
    assert [row["status"] for row in got] == [200] * 20
