"""Pictures with label pictures: the source that all semantic layouts share."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.example import Example
from model.data.readers.files import read_image, read_labels
from model.data.readers.label_map import LabelMap, semantic_example


class LabelledPictures:
    """Pairs of files; every class that is present in a picture is one segment of it.

    Args:
        pairs: path of a picture and of its labels.
        label_map: what label values mean.
        read: a label file -> (h, w) int32, values as stored.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        label_map: LabelMap,
        read: Callable[[Path], NDArray[np.int32]] = read_labels,
    ) -> None:
        self._pairs = list(pairs)
        self._label_map = label_map
        self._read = read

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._pairs)

    def name(self, index: int) -> str:
        """File name of the picture."""
        return self._pairs[index][0].name

    def __getitem__(self, index: int) -> Example:
        """The picture at `index`.

        Raises:
            DatasetError: a file is missing or broken, sizes differ, a value is unknown.
        """
        image_path, label_path = self._pairs[index]
        labels = self._read(label_path)
        class_ids = self._label_map.apply(labels, label_path)
        return semantic_example(
            read_image(image_path, (labels.shape[0], labels.shape[1])), class_ids
        )
