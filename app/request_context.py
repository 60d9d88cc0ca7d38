"""ASGI middleware around every request: its id, its time, its place in metrics and log."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.error_answers import answer_error
from app.metrics import Metrics

REQUEST_ID = "X-Request-ID"
_VALID_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_LOG = logging.getLogger("maskformer.access")


class RequestContext:
    """Gives each request an id, counts and times it, and answers what nobody else caught.

    A caller's own `X-Request-ID` is kept if it is plain text of at most 128 characters, else
    replaced, so that it can stand in logs and headers as it is.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `send` that adds the id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started_s = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        self._metrics.request_entered()
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if status:
                raise  # the answer has begun; only closing the connection tells the caller
            answer = answer_error(Request(scope), error)
            await answer(scope, receive, send_with_id)
        finally:
            self._metrics.request_left()
            # Without a status the caller left, or the server stopped, before any answer.
            self._note(scope, status or 499, time.perf_counter() - started_s)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        mode = scope["state"].get("mode", "")
        self._metrics.request_answered(route, mode, status, seconds)
        _LOG.info(
            "%s %s %d %.1f ms %s",
            scope["method"],
            route,
            status,
            1000 * seconds,
            scope["state"]["request_id"],
        )


def _request_id(scope: Scope) -> str:
    sent = Headers(scope=scope).get(REQUEST_ID, "")
    return sent if _VALID_ID.fullmatch(sent) else uuid.uuid4().hex
