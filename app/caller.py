"""Who asks, and how urgently: set where a request enters, read where its pictures are queued.

Everything that a request starts runs in its context, so no layer between has to hand this on.
"""

from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.turn import ANONYMOUS, PRIORITIES, Priority, Turn
from model.errors import InvalidParameterError
from model.inference.time_limit import forget_limits

# The name of the key that the caller showed; never the key.
tenant: ContextVar[str] = ContextVar("tenant", default=ANONYMOUS)

PRIORITY_HEADER = "X-Priority"
_priority: ContextVar[Priority | None] = ContextVar("priority", default=None)
_has_several: ContextVar[bool] = ContextVar("has_several", default=False)


class CallerPriority:
    """ASGI middleware that reads the header `X-Priority`: `interactive` or `bulk`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in a context that knows its priority, and nothing of earlier ones.

        Raises:
            InvalidParameterError: the header says something else.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A server may hand on the context of the connection's last request.
        _has_several.set(False)
        forget_limits()
        token = _priority.set(_read_priority(Headers(scope=scope).get(PRIORITY_HEADER)))
        try:
            await self._app(scope, receive, send)
        finally:
            _priority.reset(token)


def note_pictures(count: int) -> None:
    """Say how many pictures a request has; several are bulk, unless its caller said otherwise."""
    if count > 1:
        prefer("bulk")
        _has_several.set(True)


def has_several() -> bool:
    """Whether the request has several pictures, so that its own may be ahead of each other."""
    return _has_several.get()


def prefer(priority: Priority) -> None:
    """Give a request this priority from here on, unless its caller said otherwise."""
    if _priority.get() is None:
        _priority.set(priority)


def turn_of_caller(usual: Priority = "interactive") -> Turn:
    """Whose turn a picture of this request waits for.

    Args:
        usual: the priority where nothing else was said.
    """
    return Turn(tenant.get(), _priority.get() or usual)


def _read_priority(header: str | None) -> Priority | None:
    if header is None:
        return None
    for priority in PRIORITIES:
        if header == priority:
            return priority
    raise InvalidParameterError(
        f"expected {PRIORITY_HEADER} as {' or '.join(PRIORITIES)}, got {header[:40]!r}"
    )
