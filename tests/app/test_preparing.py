import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.errors import OverloadedError
from app.preparing import Preparing
from app.turn import ANYONE, Turn
from model.artifact import Artifact
from tests.app.conftest import HeldEngine, make_app, running
from tests.app.test_load import post, run, waiting

DEADLINE_S = 1e9


class Queue:
    """So many wait in it; full for everyone at 4."""

    def __init__(self, waiting: int) -> None:
        self.queue_size = waiting

    def check_room(self, turn: Turn, deadline_s: float) -> None:
        assert deadline_s == DEADLINE_S
        if self.queue_size >= 4:
            raise OverloadedError("expected room, got none")

    def retry_after_s(self, waiting: int) -> int:
        return waiting


async def enter(preparing: Preparing, queue: Any, turn: Turn = ANYONE) -> AsyncExitStack:
    stack = AsyncExitStack()
    await stack.enter_async_context(preparing.one(queue, turn, DEADLINE_S))
    return stack


def test_no_more_come_than_have_room_and_no_more_work_than_there_are_threads() -> None:
    async def scenario() -> None:
        preparing, queue = Preparing(threads=1, max_queue=4), Queue(waiting=1)
        first = await enter(preparing, queue)
        others = [asyncio.ensure_future(enter(preparing, queue)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as refused:
            await enter(preparing, queue)
        assert refused.value.retry_after_s == 4
        other_tenant = asyncio.ensure_future(enter(preparing, queue, Turn("b")))
        await asyncio.sleep(0)
        assert not any(task.done() for task in [*others, other_tenant])
        await first.aclose()
        await (await others[0]).aclose()
        queue.queue_size = 4
        await asyncio.gather(*others, other_tenant, return_exceptions=True)
        assert isinstance(other_tenant.exception(), OverloadedError)
        assert isinstance(others[1].exception(), OverloadedError)
        assert not preparing._coming

    asyncio.run(scenario())


def test_a_full_queue_still_lets_come_who_may_have_room() -> None:
    async def scenario() -> None:
        preparing, queue = Preparing(threads=2, max_queue=2), Queue(waiting=2)
        first, second = await enter(preparing, queue), await enter(preparing, queue)
        with pytest.raises(OverloadedError):
            await enter(preparing, queue)
        await first.aclose()
        await second.aclose()
        assert not preparing._coming

    asyncio.run(scenario())


def test_a_burst_is_refused_before_it_is_decoded(artifact: Artifact, picture: bytes) -> None:
    engine = HeldEngine(max_batch=1)
    app = make_app(artifact, engine, max_queue=3, cpu_threads=1)

    async def scenario() -> None:
        async with running(app, engine) as caller:
            segmenter = app.state.service.find(None).segmenter
            read, decoded = segmenter.read, list[object]()
            segmenter.read = lambda image: (decoded.append(image), read(image))[1]
            engine.open.clear()
            first = post(caller, picture)
            await engine.hold()
            burst = [post(caller, picture) for _ in range(40)]
            await waiting(app, 3)
            while sum(task.done() for task in burst) < 37:
                await asyncio.sleep(0.001)
            engine.open.set()
            statuses = [answer.status_code for answer in await asyncio.gather(first, *burst)]
            assert sorted(statuses) == [200] * 4 + [429] * 37
            assert sum(isinstance(image, bytes) for image in decoded) == 4

    run(scenario)


def test_who_would_be_late_is_refused_before_decoding_but_not_for_its_own_pictures(
    artifact: Artifact, picture: bytes
) -> None:
    engine = HeldEngine(max_batch=1)
    app = make_app(artifact, engine)
    soon = {"X-Request-Timeout-Ms": "15000"}

    async def scenario() -> None:
        async with running(app, engine) as caller:
            model = app.state.service.find(None)
            model.batcher._pace.measure((1, 32, 32), 10.0)
            parts = [("image", (f"{i}.png", picture, "image/png")) for i in range(3)]
            several = await caller.post("/segment/batch", files=parts, headers=soon)
            lines = several.text.splitlines()
            assert len(lines) == 3
            assert all('"segments"' in line for line in lines)
            model.batcher._pace.measure((1, 32, 32), 100.0)

            engine.forget()
            engine.open.clear()
            tasks = [post(caller, picture)]
            await engine.hold()
            tasks.append(post(caller, picture))
            await waiting(app, 1)
            read, decoded = model.segmenter.read, list[object]()
            model.segmenter.read = lambda image: (decoded.append(image), read(image))[1]
            late = await caller.post("/segment", content=picture, headers=soon)
            assert late.status_code == 429
            assert int(late.headers["Retry-After"]) > 15
            assert "because of the pictures that wait" in late.json()["error"]
            late = await caller.post("/segment/batch", files=parts, headers=soon)
            assert late.status_code == 429
            assert not decoded
            engine.open.set()
            answers = await asyncio.gather(*tasks)
            assert {answer.status_code for answer in answers} == {200}

    run(scenario)
