"""Mapillary Vistas v1.2.

{training,validation}/images/NAME.jpg
{training,validation}/labels/NAME.png    palette PNG: class index, 65 = unlabelled
"""

from pathlib import Path

from model.config import Taxonomy
from model.data.readers.files import PICTURES, list_files, pair_by_stem
from model.data.readers.label_map import by_position
from model.data.readers.labelled import LabelledPictures

_SPLITS = {"train": "training", "val": "validation"}


def open_mapillary(root: Path, part: str, taxonomy: Taxonomy) -> LabelledPictures:
    """The 65 classes; see the module. Raises `DatasetError` where files are missing."""
    folder = root / _SPLITS[part]
    labels = list_files(folder / "labels", [".png"])
    pairs = pair_by_stem(list_files(folder / "images", PICTURES), labels)
    return LabelledPictures(pairs, by_position(taxonomy, ignored=[65]))
