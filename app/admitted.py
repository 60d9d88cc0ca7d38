"""How a request that costs work enters: admitted, with a deadline."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request

from app.limits import deadline, read_timeout_ms


@asynccontextmanager
async def admitted(request: Request) -> AsyncIterator[float]:
    """Be one of the requests in work, as long as the header and the settings allow.

    Gives the deadline on the clock of `time.monotonic`.

    Raises:
        OverloadedError: as many requests as allowed are in work.
        DeadlineExceededError: the time was over.
        InvalidParameterError: the header `X-Request-Timeout-Ms` is not a number.
    """
    state: Any = request.app.state
    timeout_ms = read_timeout_ms(
        request.headers.get("X-Request-Timeout-Ms"), state.settings.request_timeout_ms
    )
    async with state.admission(), deadline(timeout_ms) as deadline_s:
        yield deadline_s
