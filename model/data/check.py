"""Read a whole data set and say what is in it, before a long run finds out."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.config import Taxonomy
from model.data.dataset import ExampleSource
from model.errors import DatasetError


@dataclass(frozen=True)
class PictureFacts:
    """What one picture holds; only `problem` where it cannot be read.

    Attributes:
        name: of the picture.
        problem: the sentence of its error; empty where it was read.
        pixels: (K,) per class.
        segments: (K,) per class, crowds left out.
        void_px: unlabelled pixels.
    """

    name: str
    problem: str
    pixels: NDArray[np.int64]
    segments: NDArray[np.int64]
    void_px: int

    @property
    def targets(self) -> int:
        """Segments that the queries have to find."""
        return int(self.segments.sum())


@dataclass(frozen=True)
class DataReport:
    """Facts of all pictures, added up.

    Attributes:
        pictures: number of readable pictures.
        problems: one sentence per picture that cannot be read.
        pixels: (K,) per class.
        segments: (K,) per class.
        containing: (K,) pictures that show the class.
        void_px: unlabelled pixels.
        mean_segments: per picture.
        most_segments: of one picture, and its name.
        empty: names of the pictures without any thing, or, where no class is one, any segment.
        crowded: name and segments of the pictures with more segments than queries.
    """

    pictures: int
    problems: tuple[str, ...]
    pixels: NDArray[np.int64]
    segments: NDArray[np.int64]
    containing: NDArray[np.int64]
    void_px: int
    mean_segments: float
    most_segments: tuple[int, str]
    empty: tuple[str, ...]
    crowded: tuple[tuple[str, int], ...]


def check_data(
    source: ExampleSource, taxonomy: Taxonomy, queries: int, threads: int = 4
) -> DataReport:
    """Read every picture once.

    Args:
        source: the pictures.
        taxonomy: its K classes.
        queries: Q, the most segments that the network can find in a picture.
        threads: that read at once.
    """
    num_classes = len(taxonomy.classes)
    objects = np.array([c.is_thing or "panoptic" not in taxonomy.modes for c in taxonomy.classes])
    with ThreadPoolExecutor(threads) as pool:
        facts = list(pool.map(lambda i: _facts(source, i, num_classes), range(len(source))))
    read = [fact for fact in facts if not fact.problem]
    most = max(read, key=lambda fact: fact.targets, default=None)
    return DataReport(
        pictures=len(read),
        problems=tuple(fact.problem for fact in facts if fact.problem),
        pixels=_total([fact.pixels for fact in read], num_classes),
        segments=_total([fact.segments for fact in read], num_classes),
        containing=_total([(fact.pixels > 0).astype(np.int64) for fact in read], num_classes),
        void_px=sum(fact.void_px for fact in read),
        mean_segments=float(np.mean([fact.targets for fact in read])) if read else 0.0,
        most_segments=(most.targets, most.name) if most else (0, ""),
        empty=tuple(fact.name for fact in read if not fact.segments[objects].any()),
        crowded=tuple((fact.name, fact.targets) for fact in read if fact.targets > queries),
    )


def _facts(source: ExampleSource, index: int, num_classes: int) -> PictureFacts:
    pixels, segments = np.zeros((2, num_classes), np.int64)
    name = source.name(index)
    try:
        example = source[index]
    except DatasetError as error:
        return PictureFacts(name, str(error), pixels, segments, 0)
    areas = np.bincount(example.panoptic.ravel())
    for segment in example.segments:
        pixels[segment.class_index] += areas[segment.id]
        segments[segment.class_index] += not segment.is_crowd
    return PictureFacts(name, "", pixels, segments, int(areas[0]))


def _total(rows: Sequence[NDArray[np.int64]], num_classes: int) -> NDArray[np.int64]:
    total: NDArray[np.int64] = np.sum(rows, axis=0) if rows else np.zeros(num_classes, np.int64)
    return total
