"""Answers as COCO panoptic: a PNG of segment ids per picture, and one JSON file about all.

Source of the format: cocodataset.org, "Panoptic Segmentation".
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from model.bulk.answer import Fields, Row
from model.bulk.form import error_fields
from model.bulk.plan import Part
from model.bulk.storage import Folder
from model.config import ClassInfo
from model.errors import BulkError, UnavailableModeError
from model.inference.encode import panoptic_png, segments_info
from model.structures import Mode, Segmentation

_PARTS, _PNGS, _SUFFIX = "_parts", "panoptic", ".json"


class Coco:
    """See `Form`.

    Args:
        mode: of the answers.
        output: gets `panoptic.json` and `panoptic/PICTURE.png`, `PICTURE` with its own suffix: an
            archive may hold `a.jpg` and `a.png`.
        classes: of the model.

    Raises:
        UnavailableModeError: instance answers, whose masks overlap.
    """

    def __init__(self, mode: Mode, output: Folder, classes: Sequence[ClassInfo]) -> None:
        if mode == "instance":
            raise UnavailableModeError(
                "expected a panoptic or semantic mode for coco, where every pixel has one id, "
                "got instance; parquet holds masks that overlap"
            )
        self._output, self._classes = output, classes
        self._parts = Folder(output.fs, output.of(_PARTS))

    def encode(self, name: str, answer: Segmentation) -> Fields:
        """Write the PNG; a part that is done again writes it again."""
        rows = segments_info(answer, self._classes)
        self._output.write(f"{_PNGS}/{name}.png", panoptic_png(answer, rows))
        height, width = answer.hw
        segments = [row | {"iscrowd": 0} for row in rows]
        return {"width": width, "height": height, "segments_info": segments}

    def write(self, part: Part, rows: Iterable[Row]) -> None:
        """One JSON object a line, for `finish`."""
        with (
            self._parts.writing(part.name + _SUFFIX) as path,
            path.open("w", encoding="utf-8") as file,
        ):
            for row in rows:
                fields = row.fields or error_fields(row.error)
                file.write(json.dumps({"file_name": row.name, **fields}) + "\n")

    def done(self) -> set[str]:
        """By the files that are there."""
        return {name.removesuffix(_SUFFIX) for name in self._parts.names()}

    def finish(self, parts: Sequence[Part]) -> None:
        """`panoptic.json`, with the pictures in the order of the plan; `errors` is our own list."""
        with (
            self._output.writing("panoptic.json") as path,
            path.open("w", encoding="utf-8") as file,
        ):
            categories = [
                {"id": c.category_id, "name": c.name, "isthing": int(c.is_thing), "color": c.color}
                for c in self._classes
            ]
            file.write('{"categories": ' + json.dumps(categories))
            for key, entry in (
                ("images", _image),
                ("annotations", _annotation),
                ("errors", _error),
            ):
                _write_list(file, key, entry, self._rows(parts))
            file.write("\n}\n")

    def _rows(self, parts: Sequence[Part]) -> Iterator[Fields]:
        for part in parts:
            content = self._parts.read(part.name + _SUFFIX)
            if content is None:
                raise BulkError(f"expected {part.name} in {self._parts.url}, got none")
            for line in content.decode().splitlines():
                yield json.loads(line)


def _write_list(
    file: IO[str],
    key: str,
    entry: Callable[[int, Fields], Mapping[str, Any] | None],
    rows: Iterable[Fields],
) -> None:
    """A list of the rows that have such an entry, written as they come to bound the memory."""
    file.write(f',\n"{key}": [')
    separator = "\n"
    for number, row in enumerate(rows, 1):
        value = entry(number, row)
        if value is not None:
            file.write(separator + json.dumps(value))
            separator = ",\n"
    file.write("]")


def _image(number: int, row: Fields) -> Mapping[str, Any] | None:
    if "error" in row:
        return None
    return {"id": number, **{key: row[key] for key in ("file_name", "width", "height")}}


def _annotation(number: int, row: Fields) -> Mapping[str, Any] | None:
    if "error" in row:
        return None
    file_name = f"{row['file_name']}.png"
    return {"image_id": number, "file_name": file_name, "segments_info": row["segments_info"]}


def _error(_: int, row: Fields) -> Mapping[str, Any] | None:
    return row if "error" in row else None
