"""Panoptic quality.

Source: arXiv 1801.00868, section 4, with the rules of its reference implementation (panopticapi)
for void and crowd, whose numbers the tests reproduce.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.example import Example
from model.errors import DatasetError

_MATCH_IOU = 0.5  # above it a match is unique
_VOID = 0


@dataclass(frozen=True)
class Quality:
    """Panoptic quality of a class, or the mean over several.

    Attributes:
        pq: panoptic quality, = sq * rq for a single class.
        sq: segmentation quality, the mean IoU of matched segments.
        rq: recognition quality, the F1 score of the segments.
        classes: how many classes with any segment the mean is over.
    """

    pq: float
    sq: float
    rq: float
    classes: int


@dataclass(frozen=True)
class PanopticScores:
    """Means over classes that occur, and every class (None where it does not occur)."""

    all: Quality
    things: Quality
    stuff: Quality
    per_class: tuple[Quality | None, ...]


def count_segments(
    predicted: NDArray[np.integer], classes: Mapping[int, int], truth: Example, num_classes: int
) -> NDArray[np.float64]:
    """Match the segments of one picture; counts of several pictures add up.

    Args:
        predicted: (h, w) segment id per pixel, 0 = void.
        classes: class index of every id in `predicted`.
        truth: the annotated picture.
        num_classes: K.

    Returns:
        (K, 4): sum of the matched IoUs, true positives, false positives, false negatives.

    Raises:
        DatasetError: an id is in the map but not in `classes`, or the other way round, or the
            sizes differ.
    """
    areas, true_areas, overlaps = _areas(predicted, truth.panoptic)
    _check_ids(areas, classes.keys(), "prediction")
    _check_ids(true_areas, [s.id for s in truth.segments], "truth")
    counts = np.zeros((num_classes, 4))
    matched: set[int] = set()
    crowds = {s.class_index: s.id for s in truth.segments if s.is_crowd}  # the last one counts
    for segment in (s for s in truth.segments if not s.is_crowd):
        for id_, class_index in classes.items():
            inter = overlaps.get((segment.id, id_), 0)
            if class_index != segment.class_index or inter == 0:
                continue
            void = overlaps.get((_VOID, id_), 0)
            iou = inter / (areas[id_] + true_areas[segment.id] - inter - void)
            if iou > _MATCH_IOU:
                counts[class_index] += (iou, 1, 0, 0)
                matched.add(id_)
                break
        else:
            counts[segment.class_index, 3] += 1
    for id_, class_index in classes.items():
        if id_ not in matched:
            excused = overlaps.get((_VOID, id_), 0)
            if class_index in crowds:
                excused += overlaps.get((crowds[class_index], id_), 0)
            counts[class_index, 2] += excused / areas[id_] <= 0.5
    return counts


def panoptic_scores(counts: NDArray[np.float64], is_thing: Sequence[bool]) -> PanopticScores:
    """Scores of a whole data set from the sum of its counts.

    Args:
        counts: (K, 4) as of `count_segments`.
        is_thing: of the K classes.
    """
    per_class = tuple(_quality(row) for row in counts)
    pairs = list(zip(per_class, is_thing, strict=True))
    return PanopticScores(
        all=_mean(per_class),
        things=_mean([q for q, thing in pairs if thing]),
        stuff=_mean([q for q, thing in pairs if not thing]),
        per_class=per_class,
    )


def _areas(
    predicted: NDArray[np.integer], truth: NDArray[np.int32]
) -> tuple[dict[int, int], dict[int, int], dict[tuple[int, int], int]]:
    """Pixels per predicted id, per true id (void left out of both), per (true, predicted) pair."""
    if predicted.shape != truth.shape:
        raise DatasetError(f"expected a map of {truth.shape} pixels, got {predicted.shape}")
    both = truth.astype(np.int64).ravel() << 32 | predicted.astype(np.int64).ravel()
    values, pixels = np.unique(both, return_counts=True)
    areas: dict[int, int] = {}
    true_areas: dict[int, int] = {}
    overlaps: dict[tuple[int, int], int] = {}
    for value, count in zip(values.tolist(), pixels.tolist(), strict=True):
        true_id, id_ = value >> 32, value & 0xFFFFFFFF
        overlaps[true_id, id_] = count
        areas[id_] = areas.get(id_, 0) + count
        true_areas[true_id] = true_areas.get(true_id, 0) + count
    areas.pop(_VOID, None)
    true_areas.pop(_VOID, None)
    return areas, true_areas, overlaps


def _check_ids(areas: Mapping[int, int], listed: Iterable[int], whose: str) -> None:
    different = set(areas) ^ set(listed)
    if different:
        raise DatasetError(
            f"expected every segment id of the {whose} both in its map and in its list, "
            f"got {sorted(different)} in one of them only"
        )


def _quality(row: NDArray[np.float64]) -> Quality | None:
    sum_iou, tp, fp, fn = (float(value) for value in row)
    if tp + fp + fn == 0:
        return None
    weight = tp + 0.5 * fp + 0.5 * fn
    return Quality(sum_iou / weight, sum_iou / tp if tp else 0.0, tp / weight, 1)


def _mean(qualities: Sequence[Quality | None]) -> Quality:
    """Mean over the classes that occur; zeros where none does."""
    some = [q for q in qualities if q is not None]
    pq, sq, rq = np.mean([(q.pq, q.sq, q.rq) for q in some], axis=0) if some else (0.0, 0.0, 0.0)
    return Quality(float(pq), float(sq), float(rq), len(some))
