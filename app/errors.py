"""THE table of errors: exception class -> HTTP status and reason. Handlers and OpenAPI read it.

MaskFormerError (model/errors.py)
└── ServiceError               the request or the moment is at fault, not the picture
    ├── MalformedRequestError      the body is not what its Content-Type says
    ├── ModelNotFoundError         no loaded model has this name
    ├── RouteNotFoundError         nothing answers at this path
    ├── MethodNotAllowedError      the path does not take this HTTP method
    ├── RequestTooLargeError       the body has more bytes than the limit
    ├── UnsupportedMediaError      a Content-Type that is not accepted
    ├── OverloadedError            as many requests as allowed are already here
    ├── NotReadyError              starting or draining
    ├── DeadlineExceededError      the time was over before the answer was ready
    ├── UnsupportedOperationError  a protocol has it, this service does not
    ├── ClientGoneError            the caller left; only logs and metrics see it
    └── InternalError              something broke that no other class names
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from app.schemas import ErrorAnswer
from model.errors import (
    EngineError,
    ImageTooLargeError,
    InvalidImageError,
    InvalidParameterError,
    MaskFormerError,
    UnavailableModeError,
    UnsupportedImageError,
)


class ServiceError(MaskFormerError):
    """The request or the moment is at fault."""


class MalformedRequestError(ServiceError):
    """The body is not what its Content-Type says."""


class ModelNotFoundError(ServiceError):
    """No loaded model has this name."""


class RouteNotFoundError(ServiceError):
    """Nothing answers at this path."""


class MethodNotAllowedError(ServiceError):
    """The path does not take this HTTP method."""


class RequestTooLargeError(ServiceError):
    """The body has more bytes than the limit."""


class UnsupportedMediaError(ServiceError):
    """A Content-Type that is not accepted."""


class OverloadedError(ServiceError):
    """As many requests as allowed are already here.

    Args:
        message: one sentence.
        retry_after_s: whole seconds after which there is probably room.
    """

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotReadyError(ServiceError):
    """The service is starting or draining."""


class DeadlineExceededError(ServiceError):
    """The time was over before the answer was ready."""


class UnsupportedOperationError(ServiceError):
    """A protocol has this operation, this service does not."""


class ClientGoneError(ServiceError):
    """The caller left before the answer was ready."""


class InternalError(ServiceError):
    """Something broke that no other class names."""


@dataclass(frozen=True)
class Row:
    """How one class of errors is answered.

    Attributes:
        status: HTTP status.
        reason: label of `maskformer_request_failures_total`.
    """

    status: int
    reason: str


TABLE: dict[type[Exception], Row] = {
    MalformedRequestError: Row(400, "validation"),
    InvalidImageError: Row(400, "decode"),
    RouteNotFoundError: Row(404, "validation"),
    ModelNotFoundError: Row(404, "validation"),
    MethodNotAllowedError: Row(405, "validation"),
    RequestTooLargeError: Row(413, "validation"),
    ImageTooLargeError: Row(413, "decode"),
    UnsupportedMediaError: Row(415, "validation"),
    UnsupportedImageError: Row(415, "decode"),
    InvalidParameterError: Row(422, "validation"),
    UnavailableModeError: Row(422, "validation"),
    OverloadedError: Row(429, "overloaded"),
    ClientGoneError: Row(499, "cancelled"),
    EngineError: Row(500, "backend"),
    InternalError: Row(500, "backend"),
    UnsupportedOperationError: Row(501, "validation"),
    NotReadyError: Row(503, "unavailable"),
    DeadlineExceededError: Row(504, "timeout"),
}


def row_of(error: Exception) -> Row:
    """The row of the error's class, or of the nearest class above it that has one."""
    for cls in type(error).__mro__:
        if cls in TABLE:
            return TABLE[cls]
    return TABLE[InternalError]


def error_type(cls: type[Exception]) -> str:
    """The class's name in snake_case, as clients see it: `invalid_image_error`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def public_error(error: Exception) -> Exception:
    """The error that a caller may read: anything unforeseen becomes an `InternalError`."""
    if type(error) in TABLE:
        return error
    if isinstance(error, MaskFormerError) and row_of(error).status < 500:
        return error
    return InternalError("expected an answer, got an internal failure; the log has the request id")


def error_body(error: Exception, request_id: str) -> bytes:
    """The JSON that every error is answered with, whatever route or layer it rose from."""
    form = {
        "error": str(error),
        "error_type": error_type(type(error)),
        "request_id": request_id,
    }
    return json.dumps(form, ensure_ascii=False).encode("utf-8", "replace")


def error_headers(error: Exception) -> dict[str, str]:
    """The headers that belong to an error: when to come back, after a refusal for load."""
    if isinstance(error, OverloadedError):
        return {"Retry-After": str(error.retry_after_s)}
    return {}


def openapi_responses(*classes: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route for its OpenAPI description.

    Args:
        classes: what the route may raise; each must be in `TABLE`.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    for cls in classes:
        empty = {"description": "", "model": ErrorAnswer}
        entry = responses.setdefault(TABLE[cls].status, empty)
        line = f"`{error_type(cls)}`: {(cls.__doc__ or '').splitlines()[0]}"
        entry["description"] = "\n\n".join(filter(None, [entry["description"], line]))
    return responses
