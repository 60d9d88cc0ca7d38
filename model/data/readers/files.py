"""Single files of a data set -> arrays; whatever is wrong with one is a `DatasetError`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.errors import DatasetError

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_LABEL_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")


def read_image(path: Path, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture as RGB that fits its annotation.

    The EXIF orientation is applied as in serving, unless only the stored orientation has the
    annotation's size: some data sets were annotated without it.

    Args:
        path: of the picture.
        hw: height and width of the annotation, in pixels.

    Returns:
        (h, w, 3) uint8.

    Raises:
        DatasetError: the file is missing or broken, or its size is another.
    """
    picture = _open(path)
    upright = ImageOps.exif_transpose(picture)
    for candidate in (upright, picture):
        if candidate.size == (hw[1], hw[0]):
            return np.array(candidate.convert("RGB"))
    raise DatasetError(
        f"expected {path} to be {hw[1]} x {hw[0]} px like its annotation, "
        f"got {upright.width} x {upright.height}"
    )


def read_labels(path: Path) -> NDArray[np.int32]:
    """A label picture of one channel, values as stored: (h, w) int32.

    Raises:
        DatasetError: the file is missing or broken, or a colour picture.
    """
    picture = _open(path)
    if picture.mode not in _LABEL_MODES:
        raise DatasetError(
            f"expected one channel of labels in {path}, got a picture of mode {picture.mode}"
        )
    return np.array(picture).astype(np.int32)


def read_ids(path: Path) -> NDArray[np.int32]:
    """Segment ids of a COCO panoptic PNG, R + 256 G + 65536 B: (h, w) int32.

    Raises:
        DatasetError: the file is missing or broken, or no RGB picture.
    """
    picture = _open(path)
    if picture.mode != "RGB":
        raise DatasetError(f"expected segment ids as RGB in {path}, got mode {picture.mode}")
    colors = np.array(picture).astype(np.int32)
    ids: NDArray[np.int32] = colors @ np.array([1, 256, 65536], np.int32)
    return ids


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DatasetError: the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"expected JSON at {path}, got {_reason(error)}") from error


def list_files(folder: Path, endings: Sequence[str], below: bool = False) -> list[Path]:
    """Files with one of the endings, by name.

    Args:
        folder: where they lie.
        endings: lower case; letters' case does not matter.
        below: whether those of its subfolders count too.

    Raises:
        DatasetError: there is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"expected a folder at {folder}, got none")
    found = folder.rglob("*") if below else folder.iterdir()
    files = sorted(p for p in found if p.is_file() and p.name.lower().endswith(tuple(endings)))
    if not files:
        raise DatasetError(f"expected files ending in {', '.join(endings)} in {folder}, got none")
    return files


def pair_by_stem(images: Sequence[Path], labels: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Pictures with the labels of the same name, without endings.

    Raises:
        DatasetError: a picture has no labels, or labels have no picture.
    """
    by_stem = {path.stem: path for path in labels}
    alone = by_stem.keys() ^ {path.stem for path in images}
    if alone:
        raise DatasetError(
            f"expected a picture in {images[0].parent} and labels in {labels[0].parent} for each "
            f"name, got only one of them for {len(alone)} names, such as {min(alone)!r}"
        )
    return [(path, by_stem[path.stem]) for path in images]


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"expected a picture at {path}, got {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return " ".join(str(error).split()) or type(error).__name__
