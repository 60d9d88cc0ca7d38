"""One annotated picture, the unit every data source of the project produces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ExampleSegment:
    """One region of a picture.

    Attributes:
        id: Value of the region's pixels in `Example.panoptic`, at least 1.
        class_index: Position of the region's class in the data source's list of classes.
        is_crowd: True for a group of things that is annotated as one region.
    """

    id: int
    class_index: int
    is_crowd: bool = False


@dataclass(frozen=True)
class Example:
    """One annotated picture.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        panoptic: (H, W) int32, the id of the segment a pixel belongs to, 0 where unlabelled.
        segments: Exactly the ids present in `panoptic`, each once; one segment per stuff class.
    """

    image: NDArray[np.uint8]
    panoptic: NDArray[np.int32]
    segments: tuple[ExampleSegment, ...]
