"""The lines of a streamed answer: one JSON object for each picture."""

import json

from app.errors import error_body, row_of


def result_line(index: int, file_name: str, result: bytes) -> bytes:
    """The line of an answered picture.

    Args:
        index: of the picture in its request, from 0.
        file_name: as it came; may be empty.
        result: JSON.
    """
    return _line(index, file_name, 200, result)


def error_line(index: int, file_name: str, error: Exception, request_id: str) -> bytes:
    """The line of a picture that got no answer, with the status it would have had alone.

    Args:
        index: of the picture in its request, from 0.
        file_name: as it came; may be empty.
        error: one that a caller may read.
        request_id: of the whole request.
    """
    return _line(index, file_name, row_of(error).status, error_body(error, request_id))


def _line(index: int, file_name: str, status: int, body: bytes) -> bytes:
    """The body's own fields behind ours, without parsing it again."""
    head = json.dumps({"index": index, "file": file_name, "status": status}).encode()
    return head[:-1] + b", " + body.lstrip()[1:] + b"\n"
