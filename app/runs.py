"""The calls of an engine that are under way, and how long each may take."""

import math
from dataclasses import dataclass

from app.ticket import Ticket
from model.errors import EngineTimeoutError

# What compiling may take: minutes with TensorRT or torch.compile.
_FIRST_RUN_S = 600.0
# Kinds of batches that are remembered as compiled; above any model's sizes times batch sizes.
_MAX_KINDS = 10_000

# Pictures, height, width.
Kind = tuple[int, int, int]


@dataclass(eq=False)
class Run:
    """One call of the engine: who waits for it, those behind the batch too, and until when.

    Attributes:
        is_first: whether the engine may compile in it.
        may_compile: whether it does, or waits for another run that may.
        limit_s: after that it hangs, on the clock of `time.monotonic`.
    """

    tickets: list[Ticket]
    kind: Kind
    begun_s: float
    is_first: bool
    may_compile: bool
    limit_s: float
    is_overdue: bool = False

    def error(self) -> EngineTimeoutError:
        """What its callers are told once it is overdue."""
        return EngineTimeoutError(
            f"expected an answer of the engine within {self.limit_s - self.begun_s:g} s, got none"
        )


class Runs:
    """The runs of one engine; belongs to one thread at a time, but for `hanging`.

    A first run may take ten minutes, and so may a run beside it, which may wait for the same
    compiler. That is the first one of all, and, where an engine compiles for each size, the first
    one of each batch size and padded size that has not succeeded yet.

    Args:
        timeout_s: how long any other run may take.
        compiles_by_size: see `CompilesBySize`.
    """

    def __init__(self, timeout_s: float, *, compiles_by_size: bool) -> None:
        self._timeout_s, self._compiles_by_size = timeout_s, compiles_by_size
        self._first_run_s = max(timeout_s, _FIRST_RUN_S)
        self._compiled: set[Kind] = set()
        self._runs: set[Run] = set()

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, tickets: list[Ticket], kind: Kind, now_s: float) -> Run:
        """Note a run that begins now."""
        compiled = kind in self._compiled if self._compiles_by_size else bool(self._compiled)
        waits = not compiled or any(run.is_first for run in self._runs)
        limit_s = now_s + (self._first_run_s if waits else self._timeout_s)
        run = Run(tickets, kind, now_s, not compiled, waits, limit_s)
        if run.is_first:
            for other in self._runs:
                other.limit_s = other.begun_s + self._first_run_s
                other.may_compile = True
        self._runs.add(run)
        return run

    def end(self, run: Run) -> None:
        """Note that the engine came back from a run, however it went."""
        self._runs.discard(run)

    def succeeded(self, run: Run) -> None:
        """Note that the engine needs no compiler for this kind of batch any more."""
        if len(self._compiled) >= _MAX_KINDS:
            self._compiled.clear()
        self._compiled.add(run.kind)

    def hanging(self) -> Run | None:
        """A run that was given up and did not come back yet; may be called from any thread."""
        return next((run for run in tuple(self._runs) if run.is_overdue), None)

    def overdue(self, now_s: float) -> list[Run]:
        """Those to be given up now."""
        return [run for run in self._runs if run.limit_s <= now_s and not run.is_overdue]

    @property
    def next_limit_s(self) -> float:
        """When the next run hangs, if it has not come back by then; infinite where none may."""
        limits_s = (run.limit_s for run in self._runs if not run.is_overdue)
        return min(limits_s, default=math.inf)
