"""Fronts and the engine process, here in one event loop: the same queues as in one process."""

import asyncio
import gc
import multiprocessing
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engine_link import EngineLink, RemoteQueue
from app.engine_process import EngineServer
from app.errors import DeadlineExceededError, NotReadyError, OverloadedError
from app.inference_queue import Inference
from app.metrics import Metrics
from app.settings import Settings
from app.turn import Turn
from model.artifact import Artifact
from model.errors import ArtifactError, EngineError, EngineLostError, EngineMemoryError
from model.inference.segmenter import Segmenter
from model.structures import Sample
from tests.app.conftest import SOON_S, HeldEngine
from tests.fakes import FakeEngine, fake_artifact

Scenario = Callable[["Place"], Awaitable[None]]


class Place:
    """A socket at which an engine process listens, and those who use it."""

    def __init__(self, folder: Path, engine: HeldEngine, **settings: Any) -> None:
        self.path, self.engine = folder / "engine", engine
        self.artifact = fake_artifact(folder / "fake")
        self.settings = Settings(cpu_threads=1, **settings)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()

    @asynccontextmanager
    async def engine_process(self, artifact: Artifact | None = None) -> AsyncIterator[EngineServer]:
        """Run the body of an engine process; gone at the end of the block."""
        segmenter = Segmenter(artifact or self.artifact, self.engine)
        server = EngineServer({"fake": segmenter}, self.settings, Metrics())
        ours, theirs = multiprocessing.Pipe()
        serving = asyncio.ensure_future(server.serve(self.listener, theirs))
        assert await asyncio.to_thread(ours.poll, SOON_S)
        self.engine.forget()
        try:
            yield server
        finally:
            ours.close()
            await serving
            self.engine.open.set()
            await asyncio.to_thread(server.close)
            self.engine.closed = False

    @asynccontextmanager
    async def front(self) -> AsyncIterator[RemoteQueue]:
        """A front's queue."""
        link = EngineLink(self.path, self.settings)
        segmenters = await link.open()
        try:
            yield link.queue("fake", segmenters["fake"])
        finally:
            await link.close()


def run(tmp_path: Path, scenario: Scenario, max_batch: int = 4, **settings: Any) -> HeldEngine:
    engine = HeldEngine(max_batch=max_batch)

    async def bounded() -> None:
        place = Place(tmp_path, engine, **settings)
        async with asyncio.timeout(2 * SOON_S):
            await scenario(place)
        place.listener.close()

    asyncio.run(bounded())
    return engine


def sample(color: int = 0, hw: tuple[int, int] = (32, 32)) -> Sample:
    return Sample(np.full((3, *hw), color / 255, np.float32), hw, hw)


def submit(
    queue: RemoteQueue, color: int = 0, timeout_s: float = SOON_S
) -> "asyncio.Task[Inference]":
    return asyncio.ensure_future(queue.submit(sample(color), time.monotonic() + timeout_s))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.001)


async def hold(place: Place, queue: RemoteQueue) -> "asyncio.Task[Inference]":
    place.engine.open.clear()
    place.engine.started.clear()
    blocker = submit(queue)
    await place.engine.hold()
    return blocker


def test_the_answer_is_that_of_the_engine(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as queue:
            inference = await submit(queue, 128)
            classes, masks = FakeEngine().run(sample(128).pixels[None])
            assert classes is not None
            assert inference.raw.class_logits is not None
            assert (inference.raw.class_logits == classes[0]).all()
            assert (inference.raw.mask_logits == masks[0]).all()
            assert inference.run_s > 0

    run(tmp_path, scenario)


def test_pictures_of_several_fronts_share_one_queue_and_a_batch(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as one, place.front() as other:
            blocker = await hold(place, one)
            tasks = [submit(queue) for queue in (one, other) * 2]
            await until(lambda: one.queue_size == other.queue_size == 4)
            place.engine.open.set()
            await asyncio.gather(blocker, *tasks)
            assert one.queue_size == other.queue_size == 0

    assert [shape[0] for shape in run(tmp_path, scenario).shapes] == [1, 4]


def test_pictures_of_a_batch_are_told_of_each_other(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as one, place.front() as other:
            blocker = await hold(place, one)
            deadline_s, names = time.monotonic() + SOON_S, ("a", "b", "")
            tasks = [
                asyncio.ensure_future(queue.submit(sample(), deadline_s, name))
                for queue, name in zip((one, other, other), names, strict=True)
            ]
            await until(lambda: one.queue_size == 3)
            submitted_s = time.monotonic()
            place.engine.open.set()
            assert (await blocker).members == ("",)
            for inference in await asyncio.gather(*tasks):
                assert sorted(inference.members) == sorted(names)
                assert submitted_s <= inference.started_s <= time.monotonic()

    run(tmp_path, scenario)


def test_a_full_queue_refuses_every_front_before_work_is_spent(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as one, place.front() as other:
            blocker = await hold(place, one)
            tasks = [submit(one), submit(one)]
            await until(lambda: other.queue_size == 2)
            with pytest.raises(OverloadedError, match="at most 2 waiting") as refused:
                other.check_room()
            assert refused.value.retry_after_s >= 1
            place.engine.open.set()
            await asyncio.gather(blocker, *tasks)
            other.check_room()

    run(tmp_path, scenario, max_queue=2)


def test_a_queue_too_long_for_a_deadline_refuses_in_every_front(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process() as server, place.front() as one, place.front() as other:
            server._batchers["fake"]._pace.measure((1, 32, 32), 10.0)
            blocker = await hold(place, one)
            task = submit(one)
            await until(lambda: other.queue_size == 1)
            # One ahead, half a run under way, its own: 25 s, which are three quarters of 33.3.
            other.check_room(deadline_s=time.monotonic() + 34)
            for queue in (one, other):
                with pytest.raises(OverloadedError, match=r"a deadline in 33.3 s at") as refused:
                    queue.check_room(deadline_s=time.monotonic() + 30)
                assert refused.value.retry_after_s == 25
            # Of a key's pictures a front knows its own: two are 20 s.
            keyed, soon_s = Turn("key"), time.monotonic() + 1
            other.check_room(keyed, soon_s)
            tasks = [
                asyncio.ensure_future(other.submit(sample(), time.monotonic() + SOON_S, "", keyed))
                for _ in range(2)
            ]
            await until(lambda: other.queue_size == 3)
            with pytest.raises(OverloadedError, match=r"a deadline in 26.7 s at"):
                other.check_room(keyed, soon_s)
            one.check_room(keyed, soon_s)
            place.engine.open.set()
            await asyncio.gather(blocker, task, *tasks)

    run(tmp_path, scenario)


def test_a_queue_that_fills_meanwhile_refuses_too(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as one, place.front() as other:
            blocker = await hold(place, one)
            tasks = [submit(queue) for queue in (one, other) * 4]
            refused = 0
            for task in asyncio.as_completed(tasks):
                try:
                    await task
                except OverloadedError:
                    refused += 1
                    if refused == 6:
                        place.engine.open.set()
            await blocker
            assert refused == 6

    run(tmp_path, scenario, max_queue=2)


def test_who_leaves_takes_the_picture_out_of_the_queue(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as one, place.front() as other:
            blocker = await hold(place, one)
            stayer, leaver = submit(other, 1), submit(other, 2)
            await until(lambda: one.queue_size == 2)
            leaver.cancel()
            await until(lambda: one.queue_size == 1)
            place.engine.open.set()
            await asyncio.gather(blocker, stayer)

    assert run(tmp_path, scenario).pictures == 2


def test_a_front_that_ends_takes_its_pictures_with_it(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process() as server, place.front() as one:
            blocker = await hold(place, one)
            async with place.front() as other:
                tasks = [submit(other) for _ in range(3)]
                await until(lambda: one.queue_size == 3)
            await until(lambda: one.queue_size == 0 and len(server._fronts) == 1)
            place.engine.open.set()
            await blocker
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(answer) for answer in answers} == {EngineLostError}

    assert run(tmp_path, scenario).pictures == 1


def test_errors_of_the_engine_keep_their_class(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as queue:
            for error in (EngineMemoryError("expected room, got none"), EngineError("expected x")):
                place.engine.fail = error
                with pytest.raises(type(error), match=str(error)) as raised:
                    await submit(queue)
                assert type(raised.value) is type(error)
            place.engine.fail = None
            blocker = await hold(place, queue)
            with pytest.raises(DeadlineExceededError):
                await submit(queue, timeout_s=0)
            place.engine.open.set()
            await blocker

    run(tmp_path, scenario)


def test_a_slot_is_free_again_when_its_output_is_forgotten(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as queue:
            pool = queue._link.session()._pool
            room = len(pool)
            inference = await submit(queue)
            masks = inference.raw.mask_logits[0]
            del inference
            await asyncio.sleep(0)  # the event loop itself holds what it last handed over
            gc.collect()
            assert len(pool) == room - 1
            del masks
            gc.collect()
            assert len(pool) == room
            place.engine.fail = EngineError("expected nothing")
            with pytest.raises(EngineError):
                await submit(queue)
            place.engine.fail = None
            blocker = await hold(place, queue)
            leaver = submit(queue)
            await until(lambda: queue.queue_size == 1)
            leaver.cancel()
            blocker.cancel()
            place.engine.open.set()
            await until(lambda: len(pool) == room)

    run(tmp_path, scenario)


def test_a_front_without_a_free_slot_refuses(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as queue:
            kept = []
            with pytest.raises(OverloadedError):
                while True:
                    kept.append(await submit(queue))
            assert len(kept) == queue._link.session().offer.slots
            kept.clear()
            await submit(queue)

    run(tmp_path, scenario, max_queue=2)


def test_the_end_of_an_engine_process_fails_its_pictures_and_the_next_serves(
    tmp_path: Path,
) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process():
            front = place.front()
            queue = await front.__aenter__()
            blocker = await hold(place, queue)
            waiting = submit(queue)
            await until(lambda: queue.queue_size == 1)
        for task in (blocker, waiting):
            with pytest.raises(EngineLostError):
                await task
        for refused in (queue.check_open, queue.check_room):
            with pytest.raises(NotReadyError):
                refused()
        queue.check_alive()
        assert (queue.queue_size, queue.retry_after_s(9)) == (0, 1)
        async with place.engine_process():
            async with asyncio.timeout(SOON_S):
                while True:
                    try:
                        queue.check_open()
                        break
                    except NotReadyError:
                        await asyncio.sleep(0.001)
            assert (await submit(queue)).raw.mask_logits.shape == (8, 8, 8)
            await front.__aexit__(None, None, None)

    run(tmp_path, scenario)


def test_a_lost_device_ends_the_engine_process_after_all_are_told(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        segmenter = Segmenter(place.artifact, place.engine)
        server = EngineServer({"fake": segmenter}, place.settings, Metrics())
        ours, theirs = multiprocessing.Pipe()
        serving = asyncio.ensure_future(server.serve(place.listener, theirs))
        async with place.front() as queue:
            blocker = await hold(place, queue)
            tasks = [submit(queue) for _ in range(6)]
            await until(lambda: queue.queue_size == 6)
            place.engine.fail = EngineLostError("expected a device, got none")
            place.engine.open.set()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert {str(answer) for answer in answers} == {"expected a device, got none"}
            await blocker
            assert await serving
        await asyncio.to_thread(server.close)
        ours.close()

    run(tmp_path, scenario)


def test_a_folder_that_was_replaced_meanwhile_is_refused(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process():
            text = place.artifact.folder / "artifact.json"
            text.write_text(text.read_text(encoding="utf-8") + "\n", encoding="utf-8")
            link = EngineLink(place.path, place.settings)
            with pytest.raises(ArtifactError, match="as the engine process found it"):
                await link.open()
            await link.close()

    run(tmp_path, scenario)


def test_a_long_line_breaks_no_link(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async with place.engine_process(), place.front() as queue:
            place.engine.fail = EngineError("expected less" * 2**14)
            with pytest.raises(EngineError, match="expected less"):
                await submit(queue)
            place.engine.fail = None
            await submit(queue)

    run(tmp_path, scenario)


def test_a_link_ends_with_other_models_or_when_nobody_listens(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        ended = asyncio.Event()
        async with place.engine_process():
            link = EngineLink(place.path, place.settings)
            await link.open()
            link.on_end(ended.set)
        other = tmp_path / "other"
        async with place.engine_process(fake_artifact(other)):
            await ended.wait()
            await link.close()
            link = EngineLink(place.path, place.settings)
            await link.open()
            ended.clear()
            link.on_end(ended.set)
            place.listener.close()
        await ended.wait()
        await link.close()

    run(tmp_path, scenario)
