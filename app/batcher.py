"""A bounded queue in front of one engine: pictures in, batches of equal size out, answers back.

A batch is released `full`, when the oldest picture has waited the `delay`, at once when a slot is
`idle` and no delay is set, or to `drain` a closed queue. The picture whose turn is next decides
which size goes next, so no size can starve another; `app.waiting` says whose turn it is.

Who is not expected to be answered in time is refused at once, and a picture whose time has become
too short for a run never reaches the engine (`app.pace`).

When a batch fails, its pictures run alone, and only the guilty one fails. When it finds no memory,
its halves run, and batches stay smaller for a while. When it hangs or the device is lost, its
callers are told at once, and so is `check_alive`. `app.runs` says when it hangs.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import ParamSpec

from app.batch_limits import BatchLimits
from app.errors import NotReadyError, OverloadedError
from app.inference_queue import Inference, Release, full_error, seconds_for
from app.pace import Pace, check_time
from app.runs import Run, Runs
from app.ticket import Ticket, expired_error, fail, hopeless_error, still_wanted
from app.turn import ANYONE, Priority, Turn
from app.waiting import Waiting
from model.errors import EngineError, EngineLostError, EngineMemoryError
from model.structures import RawOutput, Sample

Infer = Callable[[list[Sample]], list[RawOutput]]
OnRelease = Callable[[int, Release], None]
OnQueue = Callable[[int], None]
P = ParamSpec("P")

_LOG = logging.getLogger("maskformer")


class Batcher:
    """Forms batches for one engine with one thread per slot; see `InferenceQueue`.

    Args:
        infer: runs a batch; called from `slots` threads at once.
        slots: how many batches may be in the engine at once.
        max_batch: pictures per batch at most.
        max_queue: pictures that may wait; one more is refused, or displaces another.
        interactive_per_bulk: see `Waiting`.
        max_delay_s: how long an idle slot waits for a batch to fill.
        engine_timeout_s: how long `infer` may take; a first run may take longer, see `Runs`.
        compiles_by_size: see `CompilesBySize`.
        on_release: told the size and reason of every batch, from a slot's thread; what it raises
            is logged.
        on_queue: told how many wait, whenever that changes, from any thread, under the lock;
            likewise.
    """

    def __init__(
        self,
        infer: Infer,
        *,
        slots: int,
        max_batch: int,
        max_queue: int,
        interactive_per_bulk: int = 3,
        max_delay_s: float = 0.0,
        engine_timeout_s: float = 60.0,
        compiles_by_size: bool = False,
        on_release: OnRelease = lambda _size, _reason: None,
        on_queue: OnQueue = lambda _waiting: None,
    ) -> None:
        self._infer = infer
        self._max_queue, self._max_delay_s = max_queue, max_delay_s
        self._on_release, self._on_queue = _harmless(on_release), _harmless(on_queue)
        self._limits = BatchLimits(max_batch)
        self._waiting: Waiting[Ticket] = Waiting(max_queue, interactive_per_bulk)
        lock = threading.RLock()
        self._changed, self._watched = threading.Condition(lock), threading.Condition(lock)
        self._watchdog_wakes_s = math.inf
        self._runs = Runs(engine_timeout_s, compiles_by_size=compiles_by_size)
        self._closed = False
        self._lost: EngineLostError | None = None
        self._usable_slots = slots
        self._pace = Pace(slots)
        for slot in range(slots):
            threading.Thread(target=self._work, name=f"slot-{slot}", daemon=True).start()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @property
    def queue_size(self) -> int:
        """See `InferenceQueue`."""
        return len(self._waiting)

    @property
    def seconds_per_picture(self) -> float:
        """Of all slots together, as measured lately; 0 before the first batch."""
        return self._pace.seconds_per_picture

    def check_alive(self) -> None:
        """See `InferenceQueue`."""
        if self._lost is not None:
            raise EngineLostError(str(self._lost))
        if (run := self._runs.hanging()) is not None:
            raise run.error()

    def check_open(self) -> None:
        """See `InferenceQueue`."""
        if self._closed:
            raise NotReadyError("expected a running service, got a request while it shuts down")
        if self._lost is not None or self._usable_slots <= 0:
            self.check_alive()

    def check_room(self, turn: Turn = ANYONE, deadline_s: float = math.inf) -> None:
        """See `InferenceQueue`."""
        self.check_open()
        with self._changed:
            has_room = self._waiting.has_room(turn)
            needed_s = self.needed_s(turn) if deadline_s < math.inf else 0.0
        if not has_room:
            raise self._full_error()
        check_time(needed_s, deadline_s)

    def needed_s(self, turn: Turn) -> float:
        """See `Pace.needed_s`; for `on_queue`, which has the lock."""
        return self._pace.needed_s(self._waiting.ahead(turn))

    def tenant_limit(self, priority: Priority) -> float:
        """See `Waiting.limit`; for `on_queue`, which has the lock."""
        return self._waiting.limit(priority)

    def retry_after_s(self, waiting: int) -> int:
        """See `InferenceQueue`."""
        return seconds_for(waiting, self.seconds_per_picture)

    async def submit(
        self, sample: Sample, deadline_s: float, traceparent: str = "", turn: Turn = ANYONE
    ) -> Inference:
        """See `InferenceQueue`."""
        ticket = self.put(sample, deadline_s, traceparent, turn)
        try:
            return await asyncio.wrap_future(ticket.future)
        except asyncio.CancelledError:
            self.leave(ticket)
            raise

    def put(
        self, sample: Sample, deadline_s: float, traceparent: str = "", turn: Turn = ANYONE
    ) -> Ticket:
        """Queue one prepared picture; its answer comes in the ticket's future.

        Args and errors are those of `submit`; those of the engine come in the future.
        """
        ticket = Ticket(sample, deadline_s, time.monotonic(), traceparent)
        with self._changed:
            self.check_room(turn)
            displaced = self._waiting.add(ticket, turn)
            self._on_queue(len(self._waiting))
            self._changed.notify()
            self._wake_watchdog(deadline_s)
        if displaced is not None:
            fail([displaced], self._full_error())
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Take a picture out of the queue; one that runs already is answered for nobody."""
        with self._changed:
            ticket.left = True
            ticket.future.cancel()
            if ticket in self._waiting:
                self._remove([ticket])

    def close(self) -> None:
        """See `InferenceQueue`; a slot whose batch hangs is not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._usable_slots <= 0)
            self._watched.notify()

    def _work(self) -> None:
        batch: list[Ticket] | None = None
        try:
            while (batch := self._take()) is not None:
                self._run(batch)
                batch = None  # an idle slot must not keep pictures alive
        except BaseException as error:  # a fault of our own: nobody may wait for this thread
            _LOG.exception("a slot ended")
            self._lose(batch or [], EngineLostError(f"expected a working slot, got: {error!r}"))
        with self._changed:
            self._usable_slots -= 1
            self._changed.notify_all()

    def _take(self) -> list[Ticket] | None:
        """Wait for a batch that may go; None once the queue is closed and empty."""
        with self._changed:
            while True:
                self._expire()
                if not self._waiting:
                    if self._closed:
                        return None
                    self._changed.wait()
                    continue
                self._drop_hopeless()
                group, is_full = self._next_group()
                oldest = next(iter(self._waiting))
                wait_s = oldest.submitted_s + self._max_delay_s - time.monotonic()
                reason = self._reason(is_full, wait_s)
                if reason is not None:
                    return self._release(group, reason)
                self._changed.wait(wait_s)

    def _expire(self) -> None:
        """Answer everyone whose deadline has passed; they never reach the engine."""
        now_s = time.monotonic()
        expired = [ticket for ticket in self._waiting if ticket.deadline_s <= now_s]
        self._remove(expired)
        fail(expired, expired_error())

    def _drop_hopeless(self) -> None:
        """Answer those whose time is too short for a run, before one is wasted on them."""
        hopeless = self._pace.hopeless(self._waiting)
        self._remove(hopeless)
        fail(hopeless, hopeless_error())

    def _remove(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            self._waiting.remove(ticket)
        if tickets:
            self._on_queue(len(self._waiting))

    def _next_group(self) -> tuple[list[Ticket], bool]:
        """Whose turn it is with those behind that may share the batch; whether that is full."""
        padded_hw = next(self._waiting.in_turn()).sample.padded_hw
        limit = self._limits.of(padded_hw)
        same = (t for t in self._waiting.in_turn() if t.sample.padded_hw == padded_hw)
        group = list(islice(same, limit))
        return group, len(group) == limit

    def _reason(self, is_full: bool, wait_s: float) -> Release | None:
        if is_full:
            return "full"
        if self._closed:
            return "drain"
        if self._max_delay_s == 0:
            return "idle"
        return "delay" if wait_s <= 0 else None

    def _release(self, group: list[Ticket], reason: Release) -> list[Ticket]:
        """Take the group out of the queue, without those who left in this very moment."""
        self._waiting.take(group)
        self._on_queue(len(self._waiting))
        if self._waiting:
            self._changed.notify()  # those left behind may be due in another slot already
        batch = [ticket for ticket in group if ticket.future.set_running_or_notify_cancel()]
        if batch:
            self._on_release(len(batch), reason)
        return batch

    def _run(self, batch: list[Ticket], behind: Sequence[Ticket] = ()) -> None:
        """Run a batch and answer its callers; those `behind` wait for this slot to run them."""
        if not batch:
            return
        started_s = time.monotonic()
        run = self._begin(batch, behind, started_s)
        try:
            outputs = self._infer([ticket.sample for ticket in batch])
            if len(outputs) != len(batch):
                raise EngineError(f"expected {len(batch)} outputs, got {len(outputs)}")
        except Exception as error:
            if self._end(run):
                self._recover(batch, behind, error)
            return
        run_s = time.monotonic() - started_s
        if not self._end(run):
            return
        self._measure(run, run_s)
        members = tuple(ticket.traceparent for ticket in batch)
        for ticket, raw in zip(batch, outputs, strict=True):
            queue_s = started_s - ticket.submitted_s
            ticket.future.set_result(Inference(raw, queue_s, run_s, started_s, members))

    def _recover(self, batch: list[Ticket], behind: Sequence[Ticket], error: Exception) -> None:
        """After a failed batch: run what may succeed, alone or in halves, and fail the rest."""
        parts = [[ticket] for ticket in batch]
        if isinstance(error, EngineLostError):
            self._lose([*batch, *behind], error)
            return
        if len(batch) == 1:
            fail(batch, error)
            return
        if isinstance(error, EngineMemoryError):
            half = len(batch) // 2
            self._shrink(batch[0].sample.padded_hw, half)
            parts = [batch[:half], batch[half:]]
        for index, part in enumerate(parts, 1):
            later = [*chain.from_iterable(parts[index:]), *behind]
            # A part before this one may have hung or lost the engine for all of them.
            self._run(still_wanted([t for t in part if not t.future.done()]), later)

    def _lose(self, batch: list[Ticket], error: EngineLostError) -> None:
        """The device is gone: nobody who waits can be answered, and newcomers are refused."""
        _LOG.critical("the engine is lost: %s", error)
        with self._changed:
            self._lost = error
            waiting = list(self._waiting)
            self._remove(waiting)
        fail([*batch, *waiting], error)

    def _shrink(self, padded_hw: tuple[int, int], pictures: int) -> None:
        with self._changed:
            self._limits.shrink(padded_hw, pictures)
        _LOG.warning("more than %d pictures of %s find no memory", pictures, padded_hw)

    def _measure(self, run: Run, run_s: float) -> None:
        """Note the rate, and what the engine has shown that it can."""
        pictures, *padded_hw = run.kind
        with self._changed:
            if not run.may_compile:
                self._pace.measure(run.kind, run_s)
            self._limits.succeeded((padded_hw[0], padded_hw[1]), pictures)
            self._runs.succeeded(run)

    def _begin(self, batch: list[Ticket], behind: Sequence[Ticket], now_s: float) -> Run:
        with self._changed:
            kind = (len(batch), *batch[0].sample.padded_hw)
            run = self._runs.begin([*batch, *behind], kind, now_s)
            self._wake_watchdog(run.limit_s)
        return run

    def _end(self, run: Run) -> bool:
        """Note that the engine came back; False when the run's callers were told otherwise."""
        with self._changed:
            self._runs.end(run)
            if run.is_overdue:
                self._usable_slots += 1
                _LOG.warning("the engine came back from a batch that had been given up")
            return not run.is_overdue

    def _wake_watchdog(self, limit_s: float) -> None:
        """Let the watchdog look again, unless it does so by then anyway."""
        if limit_s < self._watchdog_wakes_s:
            self._watched.notify()

    def _watch(self) -> None:
        """Give up on runs that pass their limit, and expire pictures while every slot is busy.

        Sleeps until the next limit of a run or deadline of a picture; only an earlier one wakes
        it, so a steady load does so once per `engine_timeout_s` or deadline.
        """
        with self._changed:
            while not self._closed or self._usable_slots > 0:
                self._expire()
                now_s = time.monotonic()
                for run in self._runs.overdue(now_s):
                    self._give_up(run)
                deadlines_s = (ticket.deadline_s for ticket in self._waiting)
                wakes_s = min(self._runs.next_limit_s, *deadlines_s, math.inf)
                self._watchdog_wakes_s = wakes_s
                self._watched.wait(None if wakes_s == math.inf else max(0, wakes_s - now_s))

    def _give_up(self, run: Run) -> None:
        """Tell the callers of a run that hangs, and with the last slot all who wait."""
        run.is_overdue = True
        self._usable_slots -= 1
        error = run.error()
        _LOG.critical("a batch fails, %d pictures: %s", len(run.tickets), error)
        fail(run.tickets, error)
        if self._usable_slots <= 0:
            waiting = list(self._waiting)
            self._remove(waiting)
            fail(waiting, error)
        self._changed.notify_all()

    def _full_error(self) -> OverloadedError:
        return full_error(self._max_queue, self.retry_after_s(self._max_queue))


def _harmless(tell: Callable[P, None]) -> Callable[P, None]:
    """The same, but what it raises ends in the log: an observer must not stop what it observes."""

    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except Exception:
            _LOG.exception("expected metrics to be told, got an error")

    return told
