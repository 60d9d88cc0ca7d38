import asyncio
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from app import batch_limits
from app.batcher import Batcher
from app.errors import DeadlineExceededError, NotReadyError, OverloadedError
from app.inference_queue import Inference
from app.runs import Run
from model.errors import EngineError, EngineLostError, EngineMemoryError, EngineTimeoutError
from model.structures import RawOutput, Sample

SOON_S = 60.0


def sample(value: float = 0.0, hw: tuple[int, int] = (4, 4)) -> Sample:
    return Sample(np.full((3, *hw), value, np.float32), hw, hw)


class Runner:
    """Infers nothing: answers each picture with its own value; can be held and be made to fail.

    Attributes:
        poison: a picture of this value fails.
        room: larger batches find no memory, nor does a picture of the value 100.
        lost: whether the device is gone; `lost_on` is the batch that loses it.
        hangs_on: the batch that hangs until `released`.
    """

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.open = threading.Event()
        self.started = threading.Event()
        self.open.set()
        self.poison: float | None = None
        self.room = 1000
        self.lost = False
        self.lost_on: list[float] | None = None
        self.hangs_on: list[float] | None = None
        self.released = threading.Event()

    def __call__(self, samples: list[Sample]) -> list[RawOutput]:
        values = [float(s.pixels[0, 0, 0]) for s in samples]
        assert len({s.padded_hw for s in samples}) == 1
        self.batches.append(values)
        self.started.set()
        assert self.open.wait(SOON_S)
        if values == self.hangs_on:
            assert self.released.wait(SOON_S)
        if self.lost or values == self.lost_on:
            raise EngineLostError("expected a device, got none")
        if len(values) > self.room or 100 in values:
            raise EngineMemoryError(f"expected memory for {len(values)} pictures, got none")
        if self.poison in values:
            raise EngineError(f"expected no {self.poison}, got it")
        return [RawOutput(None, np.full((1, 1, 1), value, np.float32)) for value in values]

    @property
    def seen(self) -> list[float]:
        return sorted(value for batch in self.batches for value in batch)


@pytest.fixture
def runner() -> Runner:
    return Runner()


class Batchers:
    """Makes batchers and closes them."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.made: list[Batcher] = []
        self.released: list[tuple[int, str]] = []
        self.waiting: list[int] = []

    def __call__(
        self,
        slots: int = 1,
        max_batch: int = 4,
        max_queue: int = 64,
        max_delay_s: float = 0,
        engine_timeout_s: float = SOON_S,
        compiles_by_size: bool = False,
    ) -> Batcher:
        batcher = Batcher(
            self.runner,
            slots=slots,
            max_batch=max_batch,
            max_queue=max_queue,
            max_delay_s=max_delay_s,
            engine_timeout_s=engine_timeout_s,
            compiles_by_size=compiles_by_size,
            on_release=lambda size, reason: self.released.append((size, reason)),
            on_queue=self.waiting.append,
        )
        self.made.append(batcher)
        return batcher


@pytest.fixture
def make(runner: Runner) -> Iterator[Batchers]:
    batchers = Batchers(runner)
    yield batchers
    runner.open.set()
    for batcher in batchers.made:
        batcher.close()


def submit(
    batcher: Batcher, value: float, hw: tuple[int, int] = (4, 4), timeout_s: float = SOON_S
) -> "asyncio.Task[Inference]":
    return asyncio.ensure_future(batcher.submit(sample(value, hw), time.monotonic() + timeout_s))


async def hold(batcher: Batcher, runner: Runner) -> "asyncio.Task[Inference]":
    """Keep the one slot busy with the picture -1 until `runner.open` is set."""
    runner.open.clear()
    blocker = submit(batcher, -1)
    assert await asyncio.to_thread(runner.started.wait, SOON_S)
    return blocker


async def queued(batcher: Batcher, count: int) -> None:
    """Wait until so many pictures wait."""
    async with asyncio.timeout(SOON_S):
        while batcher.queue_size != count:
            await asyncio.sleep(0.001)


def value_of(inference: Inference) -> float:
    return float(inference.raw.mask_logits[0, 0, 0])


def test_each_caller_gets_its_own_answer(make: Batchers, runner: Runner) -> None:
    async def scenario() -> list[float]:
        batcher = make(slots=2)
        answers = await asyncio.gather(*(submit(batcher, i) for i in range(50)))
        return [value_of(answer) for answer in answers]

    assert asyncio.run(scenario()) == list(range(50))
    assert runner.seen == list(range(50))


def test_what_waits_shares_full_batches(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=4)
        blocker = await hold(batcher, runner)
        tasks = [submit(batcher, i) for i in range(10)]
        await queued(batcher, 10)
        runner.open.set()
        await asyncio.gather(blocker, *tasks)

    asyncio.run(scenario())
    assert make.released == [(1, "idle"), (4, "full"), (4, "full"), (2, "idle")]
    assert make.waiting == [1, 0, *range(1, 11), 6, 2, 0]


def test_only_equal_sizes_share_and_the_oldest_decides(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=4)
        blocker = await hold(batcher, runner)
        small, large = (4, 4), (8, 4)
        tasks = [submit(batcher, i, large if i in (0, 3) else small) for i in range(5)]
        await queued(batcher, 5)
        runner.open.set()
        await asyncio.gather(blocker, *tasks)

    asyncio.run(scenario())
    assert runner.batches == [[-1], [0, 3], [1, 2, 4]]


def test_a_queue_too_long_for_a_deadline_refuses_before_work(
    make: Batchers, runner: Runner
) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=1)
        batcher._pace.measure((1, 4, 4), 4.0)
        blocker = await hold(batcher, runner)
        tasks = [submit(batcher, i) for i in range(2)]
        await queued(batcher, 2)
        # Two ahead, half a run under way, its own: 14 s, which are three quarters of 18.7.
        with pytest.raises(OverloadedError, match=r"a deadline in 18.7 s at") as refused:
            batcher.check_room(deadline_s=time.monotonic() + 18)
        assert refused.value.retry_after_s == 14
        batcher.check_room(deadline_s=time.monotonic() + 19)
        batcher.check_room()
        tasks.append(submit(batcher, 3, timeout_s=10))  # what has begun is not refused
        await queued(batcher, 3)
        runner.open.set()
        await asyncio.gather(blocker, *tasks)

    asyncio.run(scenario())
    assert runner.batches == [[-1], [0], [1], [3]]


def test_a_picture_too_late_for_a_run_does_not_begin_one(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=1)
        blocker = await hold(batcher, runner)
        late, task = submit(batcher, 1, timeout_s=SOON_S / 2), submit(batcher, 2)
        await queued(batcher, 2)
        batcher._pace.measure((1, 4, 4), SOON_S / 2)
        runner.open.set()
        with pytest.raises(DeadlineExceededError, match="time for a run"):
            await late
        await asyncio.gather(blocker, task)

    asyncio.run(scenario())
    assert runner.batches == [[-1], [2]]


def test_a_slow_spell_ends_because_somebody_is_always_tried(make: Batchers, runner: Runner) -> None:
    async def scenario() -> int:
        batcher = make(max_batch=1)
        await submit(batcher, 0)  # the first run of all is no measure
        batcher._pace.measure((1, 4, 4), 1000.0)
        answered = 0
        while batcher.seconds_per_picture > 0.1:
            answered += (await submit(batcher, 1, timeout_s=5)).run_s < 5
        return answered

    assert 10 < asyncio.run(scenario()) < 100


def test_a_slow_spell_of_one_size_ends_while_others_wait(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher, large = make(max_batch=1), (8, 8)
        batcher._pace.measure((1, *large), SOON_S)
        blocker = await hold(batcher, runner)
        others = [submit(batcher, i) for i in range(3)]
        first, second = (submit(batcher, 10 + i, large, SOON_S / 2) for i in range(2))
        await queued(batcher, 5)
        runner.open.set()
        with pytest.raises(DeadlineExceededError, match="time for a run"):
            await second
        await asyncio.gather(blocker, first, *others)
        assert batcher._pace.run_s(large) < SOON_S

    asyncio.run(scenario())
    assert runner.seen == [-1, 0, 1, 2, 10]


def test_a_run_beside_one_that_compiles_is_no_measure(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(slots=2, max_batch=1, compiles_by_size=True)
        await submit(batcher, 0)
        compiling = await hold(batcher, runner)
        runner.started.clear()
        new_size = submit(batcher, 1, hw=(8, 8))
        await asyncio.to_thread(runner.started.wait, SOON_S)
        runner.open.set()
        await asyncio.gather(compiling, new_size)
        assert batcher.seconds_per_picture == 0
        await submit(batcher, 0)
        assert batcher.seconds_per_picture > 0

    asyncio.run(scenario())


def test_a_run_that_may_compile_is_no_measure(make: Batchers) -> None:
    async def scenario() -> None:
        batcher = make(compiles_by_size=True)
        await submit(batcher, 0)
        assert batcher.seconds_per_picture == 0
        await submit(batcher, 0)
        seconds = batcher.seconds_per_picture
        assert seconds > 0
        await submit(batcher, 0, hw=(8, 8))
        assert batcher.seconds_per_picture == seconds

    asyncio.run(scenario())


def test_a_full_queue_refuses_and_says_when_to_come_back(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(max_queue=2)
        blocker = await hold(batcher, runner)
        tasks = [submit(batcher, i) for i in range(2)]
        await queued(batcher, 2)
        with pytest.raises(OverloadedError, match="at most 2") as refused:
            await submit(batcher, 9)
        assert refused.value.retry_after_s >= 1
        with pytest.raises(OverloadedError):
            batcher.check_room()
        runner.open.set()
        await asyncio.gather(blocker, *tasks)

    asyncio.run(scenario())
    assert 9 not in runner.seen


def test_retry_after_follows_the_measured_rate(make: Batchers) -> None:
    batcher = make(slots=2)
    assert batcher.retry_after_s(100) == 1
    batcher._measure(Run([], (2, 4, 4), 0, is_first=False, may_compile=False, limit_s=60), 1.0)
    assert batcher.retry_after_s(40) == 10
    assert batcher.retry_after_s(10_000) == 60


def test_a_caller_that_leaves_frees_its_place(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(max_queue=2)
        blocker = await hold(batcher, runner)
        leaver, stayer = submit(batcher, 1), submit(batcher, 2)
        await queued(batcher, 2)
        leaver.cancel()
        await queued(batcher, 1)
        late = submit(batcher, 3)
        await queued(batcher, 2)
        runner.open.set()
        await asyncio.gather(blocker, stayer, late)

    asyncio.run(scenario())
    assert runner.seen == [-1, 2, 3]


def test_a_caller_that_leaves_a_running_batch_disturbs_nobody(
    make: Batchers, runner: Runner
) -> None:
    async def scenario() -> None:
        batcher = make()
        blocker = await hold(batcher, runner)
        blocker.cancel()
        await asyncio.gather(blocker, return_exceptions=True)
        runner.open.set()
        assert value_of(await submit(batcher, 5)) == 5

    asyncio.run(scenario())


def test_an_expired_deadline_never_reaches_the_engine(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make()
        blocker = await hold(batcher, runner)
        with pytest.raises(DeadlineExceededError):
            await submit(batcher, 1, timeout_s=0.0)
        runner.open.set()
        await blocker

    asyncio.run(scenario())
    assert runner.seen == [-1]


def test_expired_pictures_give_up_their_places_while_the_engine_is_busy(
    make: Batchers, runner: Runner
) -> None:
    async def scenario() -> None:
        batcher = make(max_queue=2)
        blocker = await hold(batcher, runner)
        late = submit(batcher, 1, timeout_s=SOON_S), submit(batcher, 2, timeout_s=0.01)
        with pytest.raises(DeadlineExceededError):
            await late[1]
        assert not blocker.done()
        stayer = submit(batcher, 3)
        await queued(batcher, 2)
        runner.open.set()
        await asyncio.gather(blocker, late[0], stayer)

    asyncio.run(scenario())
    assert runner.seen == [-1, 1, 3]


def test_metrics_that_fail_stop_nobody(
    make: Batchers, runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("expected room on the disk, got none")

    async def scenario() -> None:
        batcher = Batcher(runner, slots=1, max_batch=1, max_queue=4, on_release=fail, on_queue=fail)
        for value in (1, 2):
            assert value_of(await submit(batcher, value)) == value
        batcher.check_alive()
        batcher.close()

    asyncio.run(scenario())
    assert "expected room on the disk" in caplog.text


def test_a_slot_that_ends_is_seen(
    make: Batchers, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(Batcher, "_measure", fail)

    async def scenario() -> None:
        batcher = make()
        with pytest.raises(EngineLostError, match="expected a working slot"):
            await submit(batcher, 1)
        with pytest.raises(EngineLostError):
            batcher.check_alive()

    asyncio.run(scenario())


@pytest.mark.parametrize("max_batch", [1, 4])
def test_a_poisoned_picture_fails_alone(make: Batchers, runner: Runner, max_batch: int) -> None:
    async def scenario() -> list[Inference | BaseException]:
        batcher = make(max_batch=max_batch)
        blocker = await hold(batcher, runner)
        tasks = [submit(batcher, i) for i in range(4)]
        await queued(batcher, 4)
        runner.poison = 2
        runner.open.set()
        await blocker
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(scenario())
    assert isinstance(answers[2], EngineError)
    good = [value_of(answer) for answer in answers if isinstance(answer, Inference)]
    assert good == [0, 1, 3]


def test_an_engine_that_answers_too_few_is_found_out(make: Batchers) -> None:
    batcher = Batcher(lambda _: [], slots=1, max_batch=1, max_queue=1)
    with pytest.raises(EngineError, match="expected 1 outputs, got 0"):
        asyncio.run(batcher.submit(sample(), time.monotonic() + SOON_S))
    batcher.close()


def test_with_a_delay_an_idle_slot_waits_for_a_full_batch(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(slots=2, max_batch=3, max_delay_s=SOON_S)
        await asyncio.gather(*(submit(batcher, i) for i in range(3)))

    asyncio.run(scenario())
    assert make.released == [(3, "full")]


def test_the_delay_ends_the_wait(make: Batchers) -> None:
    async def scenario() -> None:
        batcher = make(slots=2, max_batch=3, max_delay_s=0.01)
        await asyncio.gather(submit(batcher, 0), submit(batcher, 1))

    asyncio.run(scenario())
    assert make.released == [(2, "delay")]


def test_no_size_is_forgotten_while_slots_are_idle(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(slots=2, max_batch=2, max_delay_s=0.01)
        sizes = [(4 * (1 + i % 3), 4) for i in range(9)]
        await asyncio.gather(*(submit(batcher, i, hw) for i, hw in enumerate(sizes)))

    asyncio.run(scenario())
    assert runner.seen == list(range(9))


def test_closing_finishes_what_waits_and_refuses_what_comes(make: Batchers, runner: Runner) -> None:
    async def scenario() -> list[float]:
        batcher = make(max_batch=4, max_delay_s=SOON_S)
        tasks = [submit(batcher, i) for i in range(3)]
        await queued(batcher, 3)
        await asyncio.to_thread(batcher.close)
        with pytest.raises(NotReadyError):
            await submit(batcher, 9)
        return [value_of(answer) for answer in await asyncio.gather(*tasks)]

    assert asyncio.run(scenario()) == [0, 1, 2]
    assert make.released == [(3, "drain")]


def test_no_memory_halves_batches_of_that_size_and_only_what_never_fits_fails(
    make: Batchers, runner: Runner
) -> None:
    async def scenario() -> list[Inference | BaseException]:
        batcher = make(max_batch=8)
        blocker = await hold(batcher, runner)
        runner.room = 2
        tasks = [submit(batcher, value) for value in (0, 1, 2, 100, 4, 5, 6, 7, 8, 9)]
        tasks += [submit(batcher, value, hw=(8, 8)) for value in (10, 11)]
        await queued(batcher, 12)
        runner.open.set()
        await blocker
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(scenario())
    assert isinstance(answers.pop(3), EngineMemoryError)
    assert [value_of(a) for a in answers if isinstance(a, Inference)] == [
        *range(3),
        *range(4, 12),
    ]
    assert [size for size, _ in make.released] == [1, 8, 1, 1, 2]
    assert [len(batch) for batch in runner.batches] == [1, 8, 4, 2, 2, 1, 1, 4, 2, 2, 1, 1, 2]


def test_the_batch_limit_grows_back_slowly(
    make: Batchers, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_limits, "_BATCHES_TO_GROW", 2)

    async def scenario() -> None:
        batcher = make(max_batch=4)
        blocker = await hold(batcher, runner)
        runner.room = 2
        tasks = [submit(batcher, i) for i in range(4)]
        await queued(batcher, 4)
        runner.open.set()
        await asyncio.gather(blocker, *tasks)
        runner.room = 1000
        runner.started.clear()
        blocker = await hold(batcher, runner)
        tasks = [submit(batcher, i) for i in range(17)]
        await queued(batcher, 17)
        runner.open.set()
        await asyncio.gather(blocker, *tasks)

    asyncio.run(scenario())
    # The two halves of the failed batch were full batches of the new limit.
    assert [size for size, _ in make.released] == [1, 4, 1, 3, 3, 4, 4, 3]


def test_what_nobody_awaits_any_more_is_not_tried_again(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=4, max_delay_s=SOON_S)
        runner.open.clear()
        runner.poison = 0
        tasks = [submit(batcher, 0), submit(batcher, 1), submit(batcher, 2)]
        late = submit(batcher, 3, timeout_s=0.2)
        assert await asyncio.to_thread(runner.started.wait, SOON_S)
        tasks[1].cancel()
        await asyncio.sleep(0.2)
        runner.open.set()
        answers = await asyncio.gather(*tasks, late, return_exceptions=True)
        assert isinstance(answers[0], EngineError)
        assert isinstance(answers[3], DeadlineExceededError)

    asyncio.run(scenario())
    assert runner.batches == [[0, 1, 2, 3], [0], [2]]


async def first_answer(batcher: Batcher, runner: Runner) -> None:
    """From now on the engine's time is limited."""
    await submit(batcher, 0)
    runner.started.clear()


def test_a_hanging_engine_fails_all_and_is_not_alive_until_it_comes_back(
    make: Batchers, runner: Runner
) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=1, engine_timeout_s=0.1)
        await first_answer(batcher, runner)
        batcher.check_alive()
        blocker = await hold(batcher, runner)
        waiting = submit(batcher, 1)
        for task in (blocker, waiting):
            with pytest.raises(EngineTimeoutError, match=r"within 0\.1 s"):
                await task
        for refused in (batcher.check_alive, batcher.check_open, batcher.check_room):
            with pytest.raises(EngineTimeoutError):
                refused()
        runner.open.set()
        async with asyncio.timeout(SOON_S):
            while batcher._runs:
                await asyncio.sleep(0.001)
        batcher.check_alive()
        assert value_of(await submit(batcher, 2)) == 2

    asyncio.run(scenario())
    assert runner.seen == [-1, 0, 2]


@pytest.mark.parametrize("room", [1000, 1])
def test_a_hang_while_a_failed_batch_runs_in_parts_fails_all_parts(
    make: Batchers, runner: Runner, room: int
) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=4, engine_timeout_s=0.5)
        await first_answer(batcher, runner)
        blocker = await hold(batcher, runner)
        tasks = [submit(batcher, value) for value in (1, 2, 3)]
        await queued(batcher, 3)
        runner.poison, runner.room = 2, room
        runner.hangs_on = [1]
        runner.open.set()
        await blocker
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(answer) for answer in answers} == {EngineTimeoutError}

    asyncio.run(scenario())
    runner.released.set()
    make.made[0].close()
    assert runner.batches == [[0], [-1], [1, 2, 3], [1]]


def test_a_device_lost_while_a_failed_batch_runs_in_parts_is_not_asked_again(
    make: Batchers, runner: Runner
) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=4)
        blocker = await hold(batcher, runner)
        tasks = [submit(batcher, value) for value in (1, 2, 3)]
        await queued(batcher, 3)
        runner.poison, runner.lost_on = 2, [1]
        runner.open.set()
        await blocker
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(answer) for answer in answers} == {EngineLostError}

    asyncio.run(scenario())
    assert runner.batches == [[-1], [1, 2, 3], [1]]


def test_an_engine_that_compiles_a_new_size_does_not_hang(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=1, engine_timeout_s=0.1, compiles_by_size=True)
        await first_answer(batcher, runner)
        runner.open.clear()
        compiling = submit(batcher, 1, hw=(8, 8))
        await asyncio.sleep(0.3)
        batcher.check_alive()
        runner.open.set()
        assert value_of(await compiling) == 1
        runner.open.clear()
        with pytest.raises(EngineTimeoutError, match=r"within 0\.1 s"):
            await submit(batcher, 2, hw=(8, 8))

    asyncio.run(scenario())


def test_a_hanging_slot_leaves_the_queue_to_the_others(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(slots=2, max_batch=1, engine_timeout_s=0.1)
        await first_answer(batcher, runner)
        blocker = await hold(batcher, runner)
        runner.open = threading.Event()
        runner.open.set()
        with pytest.raises(EngineTimeoutError):
            await blocker
        with pytest.raises(EngineTimeoutError):
            batcher.check_alive()
        assert value_of(await submit(batcher, 3)) == 3

    held = runner.open
    asyncio.run(scenario())
    held.set()


def test_closing_does_not_wait_for_a_hanging_engine(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(engine_timeout_s=0.1)
        await first_answer(batcher, runner)
        blocker = await hold(batcher, runner)
        await asyncio.to_thread(batcher.close)
        with pytest.raises(EngineTimeoutError):
            await blocker

    asyncio.run(scenario())


def test_a_lost_engine_fails_all_at_once_and_for_good(make: Batchers, runner: Runner) -> None:
    async def scenario() -> None:
        batcher = make(max_batch=2)
        blocker = await hold(batcher, runner)
        tasks = [submit(batcher, i) for i in range(5)]
        await queued(batcher, 5)
        runner.lost = True
        runner.open.set()
        answers = await asyncio.gather(blocker, *tasks, return_exceptions=True)
        assert {type(answer) for answer in answers} == {EngineLostError}
        for refused in (batcher.check_alive, batcher.check_open, batcher.check_room):
            with pytest.raises(EngineLostError):
                refused()

    asyncio.run(scenario())
    assert runner.batches == [[-1]]
