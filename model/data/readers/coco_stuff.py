"""COCO-Stuff 10k v1.0.

    imageLists/{train,test}.txt    names, one a line
    images/NAME.jpg
    annotations/NAME.mat           `S`: 1 = unlabelled, 2-172 = class index + 2

Later releases number otherwise (0 = unlabelled, category ids with gaps); their values above 172
are refused.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.config import Taxonomy
from model.data.readers.label_map import by_position
from model.data.readers.labelled import LabelledPictures
from model.errors import DatasetError

_LISTS = {"train": "train.txt", "val": "test.txt"}


def open_coco_stuff(root: Path, part: str, taxonomy: Taxonomy) -> LabelledPictures:
    """The pictures of one list.

    Raises:
        DatasetError: the list is missing or empty.
    """
    path = root / "imageLists" / _LISTS[part]
    names = path.read_text(encoding="utf-8").split() if path.is_file() else []
    if not names:
        raise DatasetError(f"expected a list of names at {path}, got none")
    pairs = [(root / "images" / f"{n}.jpg", root / "annotations" / f"{n}.mat") for n in names]
    return LabelledPictures(pairs, by_position(taxonomy, first=2, ignored=[1]), _read_mat)


def _read_mat(path: Path) -> NDArray[np.int32]:
    from scipy.io import loadmat

    try:
        labels: NDArray[np.int32] = loadmat(path, variable_names=["S"])["S"].astype(np.int32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"expected a MATLAB file with `S` at {path}, got {reason}") from error
    return labels
