"""Many callers at once, callers that leave, deadlines, failures: none harms another."""

import asyncio
import json
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from model.artifact import Artifact
from tests.app.conftest import SOON_S, HeldEngine, make_app, running
from tests.fakes import paint, to_bytes


def run(scenario: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(2 * SOON_S):
            return await scenario()

    return asyncio.run(bounded())


def pictures(artifact: Artifact, count: int) -> list[bytes]:
    """Different pictures of two sizes."""
    rng = np.random.default_rng(0)
    sizes = [(2, 2) if i % 2 else (2, 3) for i in range(count)]
    return [to_bytes(paint(artifact, rng.integers(0, 4, size))) for size in sizes]


def without_time(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    return {key: value for key, value in body.items() if key != "timing_ms"}


async def waiting(app: FastAPI, count: int) -> None:
    """Until so many pictures are queued behind the held batch."""
    async with asyncio.timeout(SOON_S):
        while app.state.service.find(None).batcher.queue_size != count:
            await asyncio.sleep(0.001)


def post(caller: httpx.AsyncClient, body: bytes, **options: Any) -> "asyncio.Task[httpx.Response]":
    return asyncio.ensure_future(caller.post("/segment", content=body, **options))


def test_batched_answers_are_the_answers_alone(artifact: Artifact) -> None:
    engine = HeldEngine(max_batch=4)
    app = make_app(artifact, engine)
    sent = pictures(artifact, 20)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            alone = [await post(caller, picture) for picture in sent]
            assert {shape[0] for shape in engine.shapes} == {1}
            engine.forget()
            engine.open.clear()
            first = post(caller, sent[0])
            await engine.hold()
            together = [post(caller, picture) for picture in sent]
            await waiting(app, 20)
            engine.open.set()
            await first
            answers = await asyncio.gather(*together)
            assert [shape[0] for shape in engine.shapes] == [1, 4, 4, 4, 4, 2, 2]
            assert [without_time(a) for a in answers] == [without_time(a) for a in alone]

    run(scenario)


def test_a_full_queue_answers_429_and_when_to_come_back(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine(max_batch=1)
    app = make_app(artifact, engine, max_queue=2)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            engine.open.clear()
            tasks = [post(caller, picture)]
            await engine.hold()
            tasks += [post(caller, picture), post(caller, picture)]
            await waiting(app, 2)
            refused = await caller.post("/segment", content=picture)
            assert refused.status_code == 429
            assert refused.json()["error_type"] == "overloaded_error"
            assert int(refused.headers["Retry-After"]) >= 1
            engine.open.set()
            assert [a.status_code for a in await asyncio.gather(*tasks)] == [200] * 3

    run(scenario)
    assert engine.pictures == 3


def test_too_many_requests_at_a_time_answer_429(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine(max_batch=1)
    app = make_app(artifact, engine, max_concurrent_requests=1)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            engine.open.clear()
            first = post(caller, picture)
            await engine.hold()
            refused = await caller.post("/segment", content=picture)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
            assert (await caller.get("/livez")).status_code == 200
            engine.open.set()
            assert (await first).status_code == 200
            assert (await caller.post("/segment", content=picture)).status_code == 200

    run(scenario)


def test_a_deadline_answers_504_and_spares_the_engine(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine(max_batch=1)
    app = make_app(artifact, engine)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            engine.open.clear()
            first = post(caller, picture)
            await engine.hold()
            headers = {"X-Request-Timeout-Ms": "50"}
            late = await caller.post("/segment", content=picture, headers=headers)
            assert late.status_code == 504
            assert late.json()["error_type"] == "deadline_exceeded_error"
            assert app.state.service.find(None).batcher.queue_size == 0
            engine.open.set()
            assert (await first).status_code == 200

    run(scenario)
    assert engine.pictures == 1


@pytest.mark.parametrize("asked_ms", [None, "1000000"])
def test_no_request_outlives_the_operator_s_limit(
    artifact: Artifact, picture: bytes, asked_ms: str | None
) -> None:
    engine = HeldEngine()
    app = make_app(artifact, engine, request_timeout_ms=100)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            engine.open.clear()
            headers = {"X-Request-Timeout-Ms": asked_ms} if asked_ms else {}
            answer = await caller.post("/segment", content=picture, headers=headers)
            assert answer.status_code == 504

    run(scenario)


class Caller:
    """Speaks ASGI itself, so that it can hang up."""

    def __init__(self, app: FastAPI, body: bytes) -> None:
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self._body: list[dict[str, Any]] = [{"type": "http.request", "body": body}]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/segment",
            "raw_path": b"/segment",
            "query_string": b"",
            "headers": [],
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            return self._body.pop()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


def test_who_hangs_up_in_the_queue_never_reaches_the_engine(
    artifact: Artifact, picture: bytes
) -> None:
    engine = HeldEngine(max_batch=1)
    app = make_app(artifact, engine)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            engine.open.clear()
            first = post(caller, picture)
            await engine.hold()
            leaver = Caller(app, picture)
            await waiting(app, 1)
            leaver.gone.set()
            await leaver.task
            assert app.state.service.find(None).batcher.queue_size == 0
            engine.open.set()
            assert (await first).status_code == 200
            metrics = (await caller.get("/metrics")).text
            assert 'maskformer_request_failures_total{reason="cancelled"} 1.0' in metrics

    run(scenario)
    assert engine.pictures == 1


def test_who_hangs_up_in_the_upload_is_only_counted(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine()
    app = make_app(artifact, engine)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            leaver = Caller(app, picture)
            leaver._body[0]["more_body"] = True
            leaver.gone.set()
            await leaver.task
            assert (await caller.post("/segment", content=picture)).status_code == 200

    run(scenario)
    assert engine.pictures == 1


def test_a_poisoned_picture_fails_alone(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine(max_batch=4)
    app = make_app(artifact, engine)
    white = to_bytes(np.full((64, 64, 3), 255, np.uint8))

    async def scenario() -> list[int]:
        async with running(app, engine) as caller:
            engine.open.clear()
            first = post(caller, picture)
            await engine.hold()
            tasks = [post(caller, body) for body in (picture, white, picture, picture)]
            await waiting(app, 4)
            engine.open.set()
            await first
            return [answer.status_code for answer in await asyncio.gather(*tasks)]

    assert run(scenario) == [200, 500, 200, 200]


def test_a_stopping_app_finishes_what_waits_and_is_not_ready(
    artifact: Artifact, picture: bytes
) -> None:
    engine = HeldEngine(max_batch=1)
    app = make_app(artifact, engine)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            assert (await caller.get("/readyz")).status_code == 200
            engine.open.clear()
            tasks = [post(caller, picture) for _ in range(3)]
            await engine.hold()
            await waiting(app, 2)
            app.state.service.drain()
            unready = await caller.get("/readyz")
            assert (unready.status_code, unready.json()["error_type"]) == (503, "not_ready_error")
            assert (await caller.get("/livez")).status_code == 200
            engine.open.set()
            answers = await asyncio.gather(*tasks)
            assert [answer.status_code for answer in answers] == [200] * 3

    run(scenario)
    assert engine.closed


def test_garbage_of_all_kinds_leaves_a_working_server(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine()
    app = make_app(artifact, engine)
    rng = np.random.default_rng(0)
    bodies = [b"", b"{", b"\0" * 100, picture[:50], json.dumps({"image": "x"}).encode()]
    bodies += [rng.bytes(300) for _ in range(10)]
    bodies += [picture[:i] + rng.bytes(20) + picture[i + 20 :] for i in range(0, 160, 8)]
    types = ["image/png", "application/json", "multipart/form-data; boundary=x", "a/b", "\xff"]

    async def scenario() -> None:
        async with running(app, engine) as caller:
            for body in bodies:
                for kind in types:
                    headers = {"Content-Type": kind.encode("latin-1")}
                    answer = await caller.post("/segment", content=body, headers=headers)
                    assert answer.status_code in (200, 400, 413, 415, 422), answer.text
            assert (await caller.post("/segment", content=picture)).status_code == 200

    run(scenario)
