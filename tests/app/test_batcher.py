import asyncio
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from app.batcher import Batcher, Inference
from app.errors import DeadlineExceededError, NotReadyError, OverloadedError
from model.errors import EngineError
from model.structures import RawOutput, Sample

SOON_S = 60.0


def sample(value: float = 0.0, hw: tuple[int, int] = (4, 4)) -> Sample:
    return Sample(np.full((3, *hw), value, np.float32), hw, hw)


class Runner:
    """Infers nothing: answers each picture with its own value; can be held and be made to fail."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.open = threading.Event()
        self.started = threading.Event()
        self.open.set()
        self.poison: float | None = None

    def __call__(self, samples: list[Sample]) -> list[RawOutput]:
        values = [float(s.pixels[0, 0, 0]) for s in samples]
        assert len({s.padded_hw for s in samples}) == 1
        self.batches.append(values)
        self.started.set()
        assert self.open.wait(SOON_S)
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

    def __call__(
        self, slots: int = 1, max_batch: int = 4, max_queue: int = 64, max_delay_s: float = 0
    ) -> Batcher:
        batcher = Batcher(
            self.runner,
            slots=slots,
            max_batch=max_batch,
            max_queue=max_queue,
            max_delay_s=max_delay_s,
            on_release=lambda size, reason: self.released.append((size, reason)),
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
    batcher._measure(0.5)
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
        late = submit(batcher, 1, timeout_s=0.0)
        await queued(batcher, 1)
        runner.open.set()
        with pytest.raises(DeadlineExceededError):
            await late
        await blocker

    asyncio.run(scenario())
    assert runner.seen == [-1]


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
