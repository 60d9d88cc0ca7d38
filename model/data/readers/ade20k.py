"""ADE20K: 150 classes of the scene parsing challenge, and the 847 of the full data set.

    images/{training,validation}/NAME.jpg
    annotations/{training,validation}/NAME.png      150 classes: 0 = other, 1-150 = category id

    images_detectron2/{training,validation}/NAME.jpg
    annotations_detectron2/{training,validation}/NAME.tif   847: class index, 65535 = other

Without the two subfolders the files may lie in `images` and `annotations` themselves.
"""

from pathlib import Path

from model.config import Taxonomy
from model.data.readers.files import PICTURES, list_files, pair_by_stem
from model.data.readers.label_map import by_category_id, by_position
from model.data.readers.labelled import LabelledPictures

_SPLITS = {"train": "training", "val": "validation"}


def open_ade20k(root: Path, part: str, taxonomy: Taxonomy) -> LabelledPictures:
    """The 150 classes; see the module. Raises `DatasetError` where files are missing."""
    pairs = _pairs(root, part, "images", "annotations", ".png")
    return LabelledPictures(pairs, by_category_id(taxonomy, ignored=[0]))


def open_ade20k_full(root: Path, part: str, taxonomy: Taxonomy) -> LabelledPictures:
    """The 847 classes; see the module. Raises `DatasetError` where files are missing."""
    pairs = _pairs(root, part, "images_detectron2", "annotations_detectron2", ".tif")
    return LabelledPictures(pairs, by_position(taxonomy, ignored=[65535]))


def _pairs(root: Path, part: str, images: str, labels: str, ending: str) -> list[tuple[Path, Path]]:
    split = _SPLITS[part]
    split = split if any((root / images / name).is_dir() for name in _SPLITS.values()) else ""
    pictures = list_files(root / images / split, PICTURES)
    return pair_by_stem(pictures, list_files(root / labels / split, [ending]))
