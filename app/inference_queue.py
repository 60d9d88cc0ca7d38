"""What stands between a prepared picture and the network's word on it: a bounded queue.

`app.batcher.Batcher` is that queue in one process, `app.engine_link.RemoteQueue` the same seen from
a front process whose engine runs in another.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from app.errors import OverloadedError
from app.turn import ANYONE, Turn
from model.structures import RawOutput, Sample

Release = Literal["full", "delay", "idle", "drain"]

_MAX_RETRY_AFTER_S = 60


@dataclass(frozen=True, eq=False)
class Inference:
    """The network's word on one picture, and what it took.

    Attributes:
        raw: of this picture alone.
        queue_s: from submission to the start of its batch.
        run_s: of its batch in the engine.
        started_s: of its batch, on the clock of `time.monotonic`.
        members: the `traceparent` of every picture of its batch, its own among them; empty where
            nobody traces.
    """

    raw: RawOutput
    queue_s: float
    run_s: float
    started_s: float
    members: tuple[str, ...]


class InferenceQueue(Protocol):
    """A bounded queue in front of one model's engine."""

    @property
    def queue_size(self) -> int:
        """Pictures that wait now."""
        ...

    def check_alive(self) -> None:
        """Raise when only a new process can help.

        Raises:
            EngineLostError: the device is gone for good.
            EngineTimeoutError: a batch hangs in the engine.
        """
        ...

    def check_open(self) -> None:
        """Raise unless an engine works behind the queue, full or not.

        Raises:
            NotReadyError: the queue is closed, or its engine process restarts.
            EngineError: see `check_alive`; a hang counts once it holds every slot.
        """
        ...

    def check_room(self, turn: Turn = ANYONE, deadline_s: float = math.inf) -> None:
        """Raise what `submit` would raise now, before work is spent on a picture.

        Args:
            turn: on whose account it would wait.
            deadline_s: of its answer, on the clock of `time.monotonic`.

        Raises:
            OverloadedError: as many pictures wait as may, and none of them gives way; or an answer
                is not expected before the deadline, which `submit` no longer asks: what has begun
                is not refused for that.
            NotReadyError: see `check_open`.
            EngineError: see `check_open`.
        """
        ...

    def retry_after_s(self, waiting: int) -> int:
        """Whole seconds in which `waiting` pictures are through at the measured rate."""
        ...

    async def submit(
        self, sample: Sample, deadline_s: float, traceparent: str = "", turn: Turn = ANYONE
    ) -> Inference:
        """Queue one prepared picture and wait for its part of a batch.

        A full queue refuses at once; waiting for room would hide overload as latency. A caller
        that is cancelled takes its picture out of the queue.

        Args:
            sample: from `Segmenter.prepare`.
            deadline_s: on the clock of `time.monotonic`; a picture still queued by then never runs.
            traceparent: of the request in W3C's form, told to the others of its batch.
            turn: on whose account it waits.

        Raises:
            OverloadedError: as many pictures wait as may, now, or later when this one has to give
                way to another tenant or priority (`app.waiting`).
            DeadlineExceededError: the deadline passed before the batch began, or what was left was
                too short for a run.
            NotReadyError: see `check_open`.
            EngineMemoryError: this very picture does not fit into the device's memory.
            EngineTimeoutError: its batch hangs in the engine.
            EngineLostError: the device or the engine's process went away.
            EngineError: the runtime failed on this very picture.
        """
        ...

    def close(self) -> None:
        """Refuse newcomers and finish what waits; blocks until all are answered."""
        ...


def seconds_for(waiting: int, seconds_per_picture: float) -> int:
    """Whole seconds, 1 to 60, in which `waiting` pictures are probably through.

    Args:
        waiting: pictures ahead.
        seconds_per_picture: of the whole engine, all slots together.
    """
    return whole_seconds(waiting * seconds_per_picture)


def whole_seconds(seconds: float) -> int:
    """For `Retry-After`: rounded up, 1 to 60."""
    return max(1, min(math.ceil(seconds), _MAX_RETRY_AFTER_S))


def full_error(max_queue: int, retry_after_s: int) -> OverloadedError:
    """The refusal of a full queue: come back when what waits now is through."""
    return OverloadedError(
        f"expected at most {max_queue} waiting pictures, got one more", retry_after_s
    )
