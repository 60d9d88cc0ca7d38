"""Class lists: the bundled ones, a person's own, and colours for those that have none."""

import colorsys
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model.config import ClassInfo, Taxonomy
from model.errors import CheckpointError, InvalidParameterError

BUNDLED = Path(__file__).parent / "taxonomies"
_GOLDEN_RATIO = 0.618033988749895  # spreads any number of hues evenly, in any prefix


def read_taxonomy(path: Path) -> Taxonomy:
    """Read a class list.

    Args:
        path: JSON: `{"name": ..., "classes": [...]}` as in `artifact.json` or a whole
            `artifact.json`, or COCO `categories`, or a plain list of names or classes. A class
            is a name or an object with `name` and optionally `category_id` (or `id`, `index`),
            `is_thing` (or `isthing`), `color`. What is absent: the index, stuff, a generated
            colour.

    Raises:
        CheckpointError: the file is missing or holds no such list.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "taxonomy" in content:
            content = content["taxonomy"]
        name, rows = path.stem, content
        if isinstance(content, dict):
            name = content.get("name", name)
            rows = content["classes"] if "classes" in content else content["categories"]
        return Taxonomy(name=name, classes=tuple(_class(i, row) for i, row in enumerate(rows)))
    except (OSError, KeyError, TypeError, ValueError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"expected a class list in {path}, got {reason}") from error


def name_classes(name: str, labels: tuple[str, ...], things: tuple[str, ...] = ()) -> Taxonomy:
    """Make a class list from names alone.

    Args:
        name: of the list.
        labels: class names by index.
        things: names of those that are countable; the rest is stuff.

    Raises:
        InvalidParameterError: a thing is not among the labels.
    """
    classes = tuple(_class(i, {"name": label}) for i, label in enumerate(labels))
    return mark_things(Taxonomy(name=name, classes=classes), things)


def mark_things(taxonomy: Taxonomy, things: tuple[str, ...]) -> Taxonomy:
    """State which classes are countable; without any named, nothing changes.

    Raises:
        InvalidParameterError: a thing is not among the classes.
    """
    if not things:
        return taxonomy
    unknown = set(things) - {c.name for c in taxonomy.classes}
    if unknown:
        raise InvalidParameterError(f"expected things among the class names, got {min(unknown)!r}")
    classes = tuple(c.model_copy(update={"is_thing": c.name in things}) for c in taxonomy.classes)
    return taxonomy.model_copy(update={"classes": classes})


def generate_color(index: int) -> tuple[int, int, int]:
    """Colour of a class that has none: the same for the same index, far from its neighbours'."""
    hue = (index * _GOLDEN_RATIO) % 1
    saturation = (0.55, 0.75, 0.45)[index % 3]
    value = (0.95, 0.75, 0.85, 0.6)[index // 3 % 4]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _class(index: int, row: Any) -> ClassInfo:
    fields: Mapping[str, Any] = {"name": row} if isinstance(row, str) else row
    return ClassInfo(
        name=str(fields["name"]).strip(),
        category_id=fields.get("category_id", fields.get("id", fields.get("index", index))),
        is_thing=bool(fields.get("is_thing", fields.get("isthing", False))),
        color=fields.get("color") or generate_color(index),
    )
