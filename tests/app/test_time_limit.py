"""Work in threads cannot be cancelled; it ends by itself once nobody waits."""

import asyncio
import threading
import time

import pytest

from app.errors import DeadlineExceededError
from app.limits import deadline
from model.artifact import Artifact
from model.errors import TimeLimitError
from model.inference.time_limit import check_time, time_limit
from tests.app.conftest import SOON_S, HeldEngine, make_app, running


def test_work_in_the_pool_ends_with_the_request(artifact: Artifact) -> None:
    engine, ended = HeldEngine(), threading.Event()
    app = make_app(artifact, engine)

    def work() -> None:
        try:
            while True:
                check_time()
        except TimeLimitError:
            ended.set()
            raise

    async def ask() -> None:
        async with running(app, engine):
            with pytest.raises(DeadlineExceededError):
                async with deadline(20):
                    await app.state.service.compute(work)
            assert await asyncio.to_thread(ended.wait, SOON_S)
            await app.state.service.compute(check_time)  # another request has its own time

    asyncio.run(ask())


def test_a_limit_inside_another_cannot_be_later(artifact: Artifact) -> None:
    async def ask() -> None:
        async with deadline(60_000):
            check_time()
            with pytest.raises(DeadlineExceededError):
                async with deadline(1), deadline(60_000):
                    await asyncio.to_thread(threading.Event().wait, 0.01)
                    check_time()
            check_time()

    asyncio.run(ask())


def test_a_request_does_not_inherit_the_time_of_another(artifact: Artifact, picture: bytes) -> None:
    """A server may start a connection's next request in the context of the last one."""
    engine = HeldEngine()
    app = make_app(artifact, engine)

    async def ask() -> None:
        async with running(app, engine) as caller:
            with time_limit(time.monotonic() - 1):
                answer = await caller.post("/segment", content=picture)
            assert answer.status_code == 200

    asyncio.run(ask())
