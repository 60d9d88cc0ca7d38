"""A bounded queue in front of one engine: pictures in, batches of equal size out, answers back.

A batch is released `full`, when the oldest picture has waited the `delay`, at once when a slot is
`idle` and no delay is set, or to `drain` a closed queue. The oldest picture decides which size
goes next, so no size can starve another.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from app.errors import DeadlineExceededError, NotReadyError, OverloadedError
from model.errors import EngineError
from model.structures import RawOutput, Sample

Release = Literal["full", "delay", "idle", "drain"]
Infer = Callable[[list[Sample]], list[RawOutput]]
OnRelease = Callable[[int, Release], None]

# Weight of the newest batch in the running mean of seconds per picture; chosen, not tuned.
_NEWEST = 0.2
_MAX_RETRY_AFTER_S = 60


@dataclass(frozen=True, eq=False)
class Inference:
    """The network's word on one picture, and what it took.

    Attributes:
        raw: of this picture alone.
        queue_s: from submission to the start of its batch.
        run_s: of its batch in the engine.
    """

    raw: RawOutput
    queue_s: float
    run_s: float


@dataclass(eq=False)
class _Item:
    sample: Sample
    deadline_s: float
    submitted_s: float
    future: "Future[Inference]" = field(default_factory=Future)


class Batcher:
    """Forms batches for one engine with one thread per slot.

    `submit` says nothing about threads, so a queue that several processes share can take its place.

    Args:
        infer: runs a batch; called from `slots` threads at once.
        slots: how many batches may be in the engine at once.
        max_batch: pictures per batch at most.
        max_queue: pictures that may wait; one more is refused.
        max_delay_s: how long an idle slot waits for a batch to fill.
        on_release: told the size and reason of every batch, from a slot's thread.
    """

    def __init__(
        self,
        infer: Infer,
        *,
        slots: int,
        max_batch: int,
        max_queue: int,
        max_delay_s: float = 0.0,
        on_release: OnRelease = lambda _size, _reason: None,
    ) -> None:
        self._infer = infer
        self._slots, self._max_batch, self._max_queue = slots, max_batch, max_queue
        self._max_delay_s = max_delay_s
        self._on_release = on_release
        self._waiting: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._seconds_per_picture = 0.0
        self._threads = [
            threading.Thread(target=self._work, name=f"slot-{slot}", daemon=True)
            for slot in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queue_size(self) -> int:
        """Pictures that wait now."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Raise what `submit` would raise now, before work is spent on a picture.

        Raises:
            OverloadedError: `max_queue` pictures already wait.
            NotReadyError: the queue is closed.
        """
        if self._closed:
            raise NotReadyError("expected a running service, got a request while it shuts down")
        if len(self._waiting) >= self._max_queue:
            raise OverloadedError(
                f"expected at most {self._max_queue} waiting pictures, got one more",
                self.retry_after_s(self._max_queue),
            )

    def retry_after_s(self, waiting: int) -> int:
        """Whole seconds in which `waiting` pictures are through at the measured rate."""
        wait_s = waiting * self._seconds_per_picture / self._slots
        return max(1, min(math.ceil(wait_s), _MAX_RETRY_AFTER_S))

    async def submit(self, sample: Sample, deadline_s: float) -> Inference:
        """Queue one prepared picture and wait for its part of a batch.

        A full queue refuses at once; waiting for room would hide overload as latency. A caller
        that is cancelled takes its picture out of the queue.

        Args:
            sample: from `Segmenter.prepare`.
            deadline_s: on the clock of `time.monotonic`; a picture still queued by then never runs.

        Raises:
            OverloadedError: `max_queue` pictures already wait.
            DeadlineExceededError: the deadline passed before the batch began.
            NotReadyError: the queue is closed.
            EngineError: the runtime failed on this very picture.
        """
        item = _Item(sample, deadline_s, time.monotonic())
        with self._changed:
            self.check_room()
            self._waiting.append(item)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(item.future)
        except asyncio.CancelledError:
            with self._changed:
                item.future.cancel()
                if item in self._waiting:
                    self._waiting.remove(item)
            raise

    def close(self) -> None:
        """Refuse newcomers, finish what waits, end the threads; blocks until all are answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            self._run(batch)

    def _take(self) -> list[_Item] | None:
        """Wait for a batch that may go; None once the queue is closed and empty."""
        with self._changed:
            while True:
                self._expire()
                if not self._waiting:
                    if self._closed:
                        return None
                    self._changed.wait()
                    continue
                group = self._oldest_group()
                wait_s = self._waiting[0].submitted_s + self._max_delay_s - time.monotonic()
                reason = self._reason(len(group), wait_s)
                if reason is not None:
                    return self._release(group, reason)
                self._changed.wait(wait_s)

    def _expire(self) -> None:
        """Answer everyone whose deadline has passed; they never reach the engine."""
        now_s = time.monotonic()
        for item in [item for item in self._waiting if item.deadline_s <= now_s]:
            self._waiting.remove(item)
            if item.future.set_running_or_notify_cancel():
                item.future.set_exception(
                    DeadlineExceededError("expected an answer in time, got no free engine before")
                )

    def _oldest_group(self) -> list[_Item]:
        """The oldest picture and those behind it that may share its batch."""
        padded_hw = self._waiting[0].sample.padded_hw
        group = (item for item in self._waiting if item.sample.padded_hw == padded_hw)
        return [item for item, _ in zip(group, range(self._max_batch), strict=False)]

    def _reason(self, size: int, wait_s: float) -> Release | None:
        if size == self._max_batch:
            return "full"
        if self._closed:
            return "drain"
        if self._max_delay_s == 0:
            return "idle"
        return "delay" if wait_s <= 0 else None

    def _release(self, group: list[_Item], reason: Release) -> list[_Item]:
        """Take the group out of the queue, without those who left in this very moment."""
        for item in group:
            self._waiting.remove(item)
        if self._waiting:
            self._changed.notify()  # those left behind may be due in another slot already
        batch = [item for item in group if item.future.set_running_or_notify_cancel()]
        if batch:
            self._on_release(len(batch), reason)
        return batch

    def _run(self, batch: list[_Item]) -> None:
        """Run a batch and answer its callers; when it fails, run each picture alone."""
        if not batch:
            return
        started_s = time.monotonic()
        try:
            outputs = self._infer([item.sample for item in batch])
            if len(outputs) != len(batch):
                raise EngineError(f"expected {len(batch)} outputs, got {len(outputs)}")
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                for item in batch:
                    self._run([item])
            return
        run_s = time.monotonic() - started_s
        self._measure(run_s / len(batch))
        for item, raw in zip(batch, outputs, strict=True):
            queue_s = started_s - item.submitted_s
            item.future.set_result(Inference(raw, queue_s, run_s))

    def _measure(self, seconds: float) -> None:
        with self._changed:
            before = self._seconds_per_picture or seconds
            self._seconds_per_picture = before + _NEWEST * (seconds - before)
