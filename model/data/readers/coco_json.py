"""What the two COCO formats share: the lists of pictures and of categories."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.checkpoints.taxonomy import generate_color
from model.config import ClassInfo, Taxonomy
from model.errors import DatasetError


def check_keys(row: Any, keys: Sequence[str], path: Path) -> None:
    """Refuse a JSON object that lacks a key.

    Raises:
        DatasetError: names the file and the key.
    """
    missing = [key for key in keys if not isinstance(row, Mapping) or key not in row]
    if missing:
        raise DatasetError(f"expected {missing[0]!r} in each such entry of {path}, got {row!r:.80}")


def pictures_by_id(content: Any, path: Path) -> dict[int, str]:
    """File name of every picture by its id.

    Raises:
        DatasetError: the content is no COCO file.
    """
    check_keys(content, ("images", "annotations"), path)
    for row in content["images"]:
        check_keys(row, ("id", "file_name"), path)
    return {row["id"]: row["file_name"] for row in content["images"]}


def category_indices(content: Mapping[str, Any], taxonomy: Taxonomy) -> dict[int, int]:
    """Class index by the file's category id: by name, else by id where the file names none.

    A category that the taxonomy lacks is absent here, and refused where an annotation uses it.
    """
    by_id = {info.category_id: index for index, info in enumerate(taxonomy.classes)}
    by_name = {info.name: index for index, info in enumerate(taxonomy.classes)}
    if not content.get("categories"):
        return by_id
    return {c["id"]: by_name[c["name"]] for c in content["categories"] if c["name"] in by_name}


def own_taxonomy(content: Any, path: Path) -> Taxonomy:
    """The file's categories as a class list, in its order.

    Raises:
        DatasetError: it lists none.
    """
    check_keys(content, ("categories",), path)
    for row in content["categories"]:
        check_keys(row, ("id", "name"), path)
    if not content["categories"]:
        raise DatasetError(f"expected categories in {path}, got none")
    return Taxonomy(
        name=path.stem,
        classes=tuple(
            ClassInfo(
                name=row["name"],
                category_id=row["id"],
                is_thing=bool(row.get("isthing", 1)),  # instance files name things only
                color=tuple(row.get("color") or generate_color(index)),
            )
            for index, row in enumerate(content["categories"])
        ),
    )
