"""Until when work is worth doing: set where a request enters, asked where a picture takes long.

A thread cannot be stopped from outside, so the stages that can take seconds ask in between.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from model.errors import TimeLimitError

_ends_s: ContextVar[float] = ContextVar("ends_s", default=math.inf)


@contextmanager
def time_limit(ends_s: float) -> Iterator[None]:
    """Let the body, and all that runs in a copy of its context, end by then.

    Args:
        ends_s: on the clock of `time.monotonic`; an earlier limit around this one goes before.
    """
    token = _ends_s.set(min(ends_s, _ends_s.get()))
    try:
        yield
    finally:
        _ends_s.reset(token)


def forget_limits() -> None:
    """Begin anew, without the limits of whoever's context this one was copied from."""
    _ends_s.set(math.inf)


def check_time() -> None:
    """Go on only if somebody may still wait for the result.

    Raises:
        TimeLimitError: the limit has passed.
    """
    if time.monotonic() > _ends_s.get():
        raise TimeLimitError("expected the work to end within its time limit, got more of it")
