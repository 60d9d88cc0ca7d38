"""Semantic answers: one class per pixel."""

from dataclasses import dataclass

import numpy as np

from model.config import ScoresAt
from model.inference.postprocess import kernels
from model.inference.postprocess.blocks import Field
from model.inference.postprocess.contest import lead_blocks, lead_pixels
from model.inference.postprocess.geometry import Geometry, softmax
from model.inference.postprocess.segments import areas_and_boxes
from model.structures import RawOutput, Segment, Segmentation

# Chosen on trained and synthetic outputs; they change the time, never the answer.
_LIGHT = 0.02  # what all light queries together may add to a class
_FRONT = 0.05  # probability from which a class of a heavy query may lead
_MARGIN = np.float32(2e-6)  # above the rounding of a score


def semantic(raw: RawOutput, geometry: Geometry, *, scores_at: ScoresAt) -> Segmentation:
    """Give every pixel the class with the best score; the lower class index wins a tie.

    A class's score is the sum over queries of its probability times the mask probability
    (arXiv 2107.06278, section 3.4).

    Args:
        raw: of a baseline too, whose class maps are enlarged by exactly 4 before the cut.
        geometry: its sizes.
        scores_at: `input` combines masks at the padded input and resizes scores, `output`
            resizes logits first, `stride4` combines masks as they are and resizes scores.
    """
    if raw.class_logits is None:
        labels = _best_map(geometry.class_maps(raw.mask_logits))
    else:
        weights = softmax(raw.class_logits)[:, :-1]
        labels = _best_class(
            geometry.probabilities(raw.mask_logits, scores_at), np.ascontiguousarray(weights)
        )
    labels += 1
    areas, boxes = areas_and_boxes(labels)
    segments = tuple(Segment(id_, id_ - 1, None, areas[id_], boxes[id_]) for id_ in sorted(areas))
    return Segmentation("semantic", labels, segments)


def _best_map(maps: Field) -> np.ndarray:
    labels = np.empty(maps.hw, np.int32)
    ones = np.ones(len(maps.maps), np.float32)
    for strip in maps.strips():
        leaders, is_open = lead_blocks(*strip.bounds())
        strip.fill(labels, leaders)
        for positions, values in strip.pixels(is_open):
            labels.reshape(-1)[positions], _ = lead_pixels(values, ones)
    return labels


@dataclass(frozen=True, eq=False)
class _Core:
    """The few queries and classes that decide almost every pixel.

    Scores are linear in mask probabilities, so what the other (light) queries could add to a class
    is at most the sum of its probabilities there. All other classes are watched as one, whose
    probabilities are the largest of theirs.

    Attributes:
        queries: (heavy queries,) indices.
        classes: (front classes,) ascending indices.
        weights: (heavy queries, front classes + 1) float32; the last column is the other classes.
        reserves: (front classes + 1,) float32, what light queries could add, and the margin.
    """

    queries: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    reserves: np.ndarray

    @classmethod
    def of(cls, weights: np.ndarray) -> "_Core":
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
            everything = np.arange(len(weights)), np.arange(weights.shape[1])
            return cls(
                *everything,
                np.ascontiguousarray(np.concatenate([weights, nothing], axis=1)),
                reserves,
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
            heavy,
            front,
            np.ascontiguousarray(np.concatenate(columns, axis=1)),
            reserves.astype(np.float32),
        )

    def lead_blocks(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decide blocks by the bounds (..., heavy queries) of their probabilities.

        Returns:
            the best class; whether another one could be better somewhere.
        """
        shape = lower.shape[:-1]
        lower, upper = (np.ascontiguousarray(b).reshape(-1, b.shape[-1]) for b in (lower, upper))
        scores = (lower + upper) / 2 @ self.weights
        leaders = scores[:, :-1].argmax(axis=1).astype(np.int32)
        gains = scores  # same size, written over
        kernels.compare(gains, lower, upper, self.weights, leaders)
        gains += self.reserves
        gains[np.arange(len(gains)), leaders] = -1
        is_open = (gains >= 0).any(axis=1)
        return self.classes[leaders].reshape(shape), is_open.reshape(shape)

    def lead_pixels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `lead_blocks`, by the probabilities (P, lanes) of pixels."""
        scores = values[:, : len(self.queries)] @ self.weights
        leaders, is_sure = lead_pixels(scores, np.ones_like(self.reserves), self.reserves)
        is_sure &= leaders < len(self.classes)
        return self.classes[np.minimum(leaders, len(self.classes) - 1)], ~is_sure


def _best_class(field: Field, weights: np.ndarray) -> np.ndarray:
    """Labels (h, w) by class probabilities (Q, K) and the queries' masks."""
    core = _Core.of(weights)
    heavy = Field(field.maps[core.queries], field.rows, field.columns, activate=field.activate)
    labels = np.empty(field.hw, np.int32)
    flat = labels.reshape(-1)
    for strip in heavy.strips():
        leaders, is_open = core.lead_blocks(*strip.bounds())
        strip.fill(labels, leaders)
        open_positions = []
        for positions, values in strip.pixels(is_open):
            flat[positions], is_unsure = core.lead_pixels(values)
            open_positions.append(positions[is_unsure])
        rest = np.concatenate([np.zeros(0, np.int64), *open_positions])
        if len(rest):
            for positions, values in strip.of(field).at(rest):
                flat[positions] = (values[:, : len(weights)] @ weights).argmax(axis=1)
    return labels
