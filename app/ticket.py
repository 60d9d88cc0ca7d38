"""A picture's place in the queue of `app.batcher`, and how it is given up."""

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from app.errors import DeadlineExceededError
from app.inference_queue import Inference
from model.structures import Sample


@dataclass(eq=False)
class Ticket:
    """A picture's place in the queue.

    Attributes:
        future: its answer; cancelled once it left the queue unanswered.
        traceparent: see `InferenceQueue.submit`.
        left: whether its caller is gone.
    """

    sample: Sample
    deadline_s: float
    submitted_s: float
    traceparent: str
    future: "Future[Inference]" = field(default_factory=Future)
    left: bool = False


def still_wanted(batch: list[Ticket]) -> list[Ticket]:
    """Those of a failed batch for whom it is worth to try again; the others are answered."""
    now_s = time.monotonic()
    wanted = [ticket for ticket in batch if not ticket.left and ticket.deadline_s > now_s]
    fail([ticket for ticket in batch if ticket not in wanted], expired_error())
    return wanted


def fail(tickets: Iterable[Ticket], error: Exception) -> None:
    """Tell the error to whoever still waits."""
    for ticket in tickets:
        if ticket.future.done():
            continue
        if ticket.future.running() or ticket.future.set_running_or_notify_cancel():
            ticket.future.set_exception(error)


def expired_error() -> DeadlineExceededError:
    """What a picture is told whose deadline passed in the queue."""
    return DeadlineExceededError("expected an answer in time, got no free engine before")


def hopeless_error() -> DeadlineExceededError:
    """What a picture is told whose deadline would pass while it runs."""
    return DeadlineExceededError(
        "expected time for a run of the engine, got a deadline before that"
    )
