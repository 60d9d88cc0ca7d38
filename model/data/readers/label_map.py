"""What the values of a data set's label pictures mean."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.config import Taxonomy
from model.data.example import Example, ExampleSegment
from model.errors import DatasetError


@dataclass(frozen=True)
class LabelMap:
    """Label value -> class index; a value that is neither known nor ignored is refused.

    Attributes:
        class_index: by label value.
        ignored: values that mean void.
    """

    class_index: Mapping[int, int]
    ignored: frozenset[int]

    def apply(self, labels: NDArray[np.int32], path: Path) -> NDArray[np.int32]:
        """Class index + 1 per pixel, 0 = void.

        Args:
            labels: (h, w) values as stored.
            path: what to name in a message.

        Raises:
            DatasetError: a value that the map does not hold.
        """
        values, places = np.unique(labels, return_inverse=True)
        unknown = set(values.tolist()) - self.class_index.keys() - self.ignored
        if unknown:
            shown = ", ".join(map(str, sorted(unknown)[:5]))
            raise DatasetError(
                f"expected label values of the class list or "
                f"{sorted(self.ignored) or 'none'} (ignored) in {path}, got {shown}"
            )
        known = [self.class_index.get(value, -1) + 1 for value in values.tolist()]
        mapped: NDArray[np.int32] = np.array(known, np.int32)[places].reshape(labels.shape)
        return mapped


def by_position(taxonomy: Taxonomy, first: int = 0, ignored: Iterable[int] = ()) -> LabelMap:
    """Value = class index + `first`."""
    values = {index + first: index for index in range(len(taxonomy.classes))}
    return LabelMap(values, frozenset(ignored))


def by_category_id(taxonomy: Taxonomy, ignored: Iterable[int] = ()) -> LabelMap:
    """Value = the class's category id; one that is also `ignored` is a class."""
    values = {info.category_id: index for index, info in enumerate(taxonomy.classes)}
    return LabelMap(values, frozenset(ignored) - values.keys())


def semantic_example(image: NDArray[np.uint8], class_ids: NDArray[np.int32]) -> Example:
    """One segment per class that is present.

    Args:
        image: (h, w, 3) uint8.
        class_ids: (h, w) class index + 1, 0 = void; becomes the segment id.
    """
    present = np.flatnonzero(np.bincount(class_ids.ravel()))
    segments = tuple(ExampleSegment(int(id_), int(id_) - 1) for id_ in present if id_)
    return Example(image, class_ids, segments)


def panoptic_example(
    image: NDArray[np.uint8],
    ids: NDArray[np.int32],
    meaning: Callable[[int], ExampleSegment | None],
) -> Example:
    """Segments of any ids, renumbered from 1: later stages keep tables as long as the highest id.

    Args:
        image: (h, w, 3) uint8.
        ids: (h, w) as stored; 0 is void.
        meaning: of an id other than 0; None is void. The result's own id is not read.
    """
    present, places = np.unique(ids, return_inverse=True)
    new_ids = np.zeros(len(present), np.int32)
    segments: list[ExampleSegment] = []
    for row, id_ in enumerate(present.tolist()):
        segment = meaning(id_) if id_ else None
        if segment is not None:
            new_ids[row] = len(segments) + 1
            segments.append(
                ExampleSegment(len(segments) + 1, segment.class_index, segment.is_crowd)
            )
    return Example(image, new_ids[places].reshape(ids.shape), tuple(segments))
