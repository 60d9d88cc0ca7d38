"""Semantic answers: one class per pixel."""

from typing import NamedTuple

import numpy as np

from model.config import ScoresAt
from model.inference.postprocess.blocks import Axis
from model.inference.postprocess.classes import contest_classes
from model.inference.postprocess.contest import contest
from model.inference.postprocess.finite import check_finite, check_finite_maps
from model.inference.postprocess.geometry import Geometry, softmax
from model.inference.postprocess.points import values_at
from model.inference.postprocess.segments import areas_and_boxes
from model.structures import RawOutput, Segment, Segmentation

# Chosen on trained and synthetic outputs; they change the time, never the answer.
_LIGHT = 0.02  # what all light queries together may add to a class
_FRONT = 0.05  # probability from which a class of a heavy query may lead
_STILL = 2e-3  # change of a contribution that is left to the last decision
_MARGIN = np.float32(2e-6)  # above the rounding of a score
_CHUNK_VALUES = 2**22  # of open pixels at once


def semantic(raw: RawOutput, geometry: Geometry, *, scores_at: ScoresAt) -> Segmentation:
    """Give every pixel the class with the best score; the lower class index wins a tie.

    A class's score is the sum over queries of its probability times the mask probability
    (arXiv 2107.06278, section 3.4).

    Args:
        raw: of a baseline too, whose class maps are enlarged by exactly 4 before the cut.
        geometry: its sizes.
        scores_at: `input` combines masks at the padded input and resizes scores, `output`
            resizes logits first, `stride4` combines masks as they are and resizes scores.

    Raises:
        EngineError: a logit is not finite.
    """
    labels = np.empty(geometry.original_hw, np.int32)
    maps = np.ascontiguousarray(raw.mask_logits)
    every = np.arange(len(maps), dtype=np.int32)
    check_finite_maps(maps, every)
    if raw.class_logits is None:
        ones = np.ones(len(maps), np.float32)
        own, never = np.zeros(len(maps), np.int64), np.inf
        contest(labels, own, maps, every, ones, never, *geometry.class_map_axes(), False)
    else:
        check_finite(raw.class_logits)
        weights = softmax(raw.class_logits)[:, :-1]
        core, axes = Core.of(weights), geometry.axes(scores_at)
        contest_classes(
            labels, maps, core.queries, core.classes, core.weights, core.reserves, core.still, *axes
        )
        _settle_(labels, maps, weights, axes)
    labels += 1
    areas, boxes = areas_and_boxes(labels)
    segments = tuple(Segment(id_, id_ - 1, None, areas[id_], boxes[id_]) for id_ in areas)
    return Segmentation("semantic", labels, segments)


def _settle_(
    labels: np.ndarray, maps: np.ndarray, weights: np.ndarray, axes: tuple[Axis, Axis]
) -> None:
    """Label the pixels that are still open, by the scores of all queries and classes."""
    positions = np.flatnonzero(labels < 0)
    step = max(1, _CHUNK_VALUES // sum(weights.shape))
    for begin in range(0, len(positions), step):
        some = positions[begin : begin + step]
        values = np.empty((len(maps), len(some)), np.float32)
        values_at(values, some, maps, *axes, True)
        labels.reshape(-1)[some] = (values.T @ weights).argmax(axis=1)


class Core(NamedTuple):
    """The few queries and classes that decide almost every pixel.

    Scores are linear in mask probabilities, so what the other (light) queries could add to a class
    is at most the sum of its probabilities there. All other classes are watched as one, whose
    probabilities are the largest of theirs.

    Attributes:
        queries: (heavy queries,) indices.
        classes: (front classes,) ascending indices.
        weights: (heavy queries, front classes + 1) float32; the last column is the other classes.
        reserves: (front classes + 1,) float32, what light queries could add, and the margin.
        still: a query counts as constant where its contribution varies by less.
    """

    queries: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    reserves: np.ndarray
    still: float

    @classmethod
    def of(cls, weights: np.ndarray) -> "Core":
        """Choose queries and classes.

        Args:
            weights: (Q, K) class probabilities.
        """
        order = np.argsort(-weights.max(axis=1), kind="stable")
        tails = weights[order[::-1]].cumsum(axis=0)[::-1].max(axis=1)  # (Q,) from each one on
        count = np.count_nonzero(tails > _LIGHT)
        if 2 * count > len(order):  # little to gain: nothing is light, nothing left out
            nothing = np.zeros((len(weights), 1), np.float32)
            reserves = np.zeros(weights.shape[1] + 1, np.float32)
            reserves[-1] = -np.inf
            return cls(
                np.arange(weights.shape[0], dtype=np.int32),
                np.arange(weights.shape[1], dtype=np.int32),
                np.ascontiguousarray(np.concatenate([weights, nothing], axis=1)),
                reserves,
                0.0,
            )
        heavy, light = np.sort(order[: max(1, count)]), order[max(1, count) :]
        best = weights[heavy].max(axis=0)
        is_front = best >= min(_FRONT, float(best.max()))
        front, others = np.flatnonzero(is_front), np.flatnonzero(~is_front)
        columns = [
            weights[heavy][:, front],
            weights[heavy][:, others].max(axis=1, initial=0)[:, None],
        ]
        light_sums = weights[light].sum(axis=0)
        reserves = np.append(light_sums[front], light_sums[others].max(initial=0)) + _MARGIN
        return cls(
            heavy.astype(np.int32),
            front.astype(np.int32),
            np.ascontiguousarray(np.concatenate(columns, axis=1)),
            reserves.astype(np.float32),
            _STILL,
        )
