"""`multipart/form-data` bytes -> its parts, refused when anything is missing."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import MalformedRequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# Room for the longest list of classes in single parts, and to spare.
MAX_PARTS = 1100


@dataclass(eq=False)
class Part:
    """One part of a form: its name, content, and the file's name or an empty one."""

    name: str = ""
    file_name: str = ""
    data: bytearray = field(default_factory=bytearray)


def parse_multipart(content_type: str, body: bytes) -> list[Part]:
    """Split a form into its parts, in order.

    Args:
        content_type: the header with its boundary.
        body: whole.

    Raises:
        MalformedRequestError: no boundary, broken syntax, a part without a name, too many parts,
            or no closing boundary.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise MalformedRequestError("expected a boundary in the multipart Content-Type, got none")
    collector = _Collector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(body)
    except FormParserError as error:
        raise MalformedRequestError(
            f"expected a well-formed multipart body, got: {error}"
        ) from error
    if not collector.ended:
        raise MalformedRequestError("expected a whole multipart body, got no closing boundary")
    return collector.parts


class _Collector:
    """Receives the parser's events; header names and values may come in pieces."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._header, self._value = bytearray(), bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": lambda data, start, end: self.parts[-1].data.extend(data[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise MalformedRequestError(f"expected at most {MAX_PARTS} parts, got more")
        self.parts.append(Part())

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            options = parse_options_header(bytes(self._value))[1]
            self.parts[-1].name = options.get(b"name", b"").decode("utf-8", "replace")
            self.parts[-1].file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        if not self.parts[-1].name:
            raise MalformedRequestError("expected a name for every part of the form, got none")

    def _end(self) -> None:
        self.ended = True
