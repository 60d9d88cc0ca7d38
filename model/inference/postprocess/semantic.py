"""Semantic answers: one class per pixel."""

import math
from typing import Literal

import numpy as np

from model.inference.postprocess.geometry import Geometry, sigmoid_, softmax
from model.inference.postprocess.segments import areas_and_boxes
from model.inference.resize import Tile, resample, tiles
from model.structures import RawOutput, Segment, Segmentation


def semantic(
    raw: RawOutput, geometry: Geometry, *, scores_at: Literal["input", "output"]
) -> Segmentation:
    """Give every pixel the class with the best score; the lower class index wins a tie.

    A class's score is the sum over queries of its probability times the mask probability
    (arXiv 2107.06278, section 3.4).

    Args:
        raw: of a baseline too, whose class maps are enlarged by exactly 4 before the cut.
        geometry: its sizes.
        scores_at: `input` combines masks at the padded input and resizes scores, `output`
            resizes logits first.
    """
    if raw.class_logits is None:
        labels = _best_map(raw.mask_logits, geometry)
    elif scores_at == "output":
        labels = _best_class_at_output(raw.class_logits, raw.mask_logits, geometry)
    else:
        labels = _best_class_at_input(raw.class_logits, raw.mask_logits, geometry)
    labels += 1
    areas, boxes = areas_and_boxes(labels)
    segments = tuple(Segment(id_, id_ - 1, None, areas[id_], boxes[id_]) for id_ in sorted(areas))
    return Segmentation("semantic", labels, segments)


def _best_map(class_maps: np.ndarray, geometry: Geometry) -> np.ndarray:
    height, width = geometry.logits_hw
    rows, columns = geometry.to_output((4 * height, 4 * width))
    labels = np.empty(geometry.original_hw, np.int32)
    for tile in tiles(labels.shape, depth=2 * len(class_maps)):
        labels[tile.slices] = _argmax(resample(class_maps, rows, columns, tile))
    return labels


def _best_class_at_output(
    class_logits: np.ndarray, mask_logits: np.ndarray, geometry: Geometry
) -> np.ndarray:
    weights = softmax(class_logits)[:, :-1].T  # (K, Q)
    rows, columns = geometry.to_output()
    labels = np.empty(geometry.original_hw, np.int32)
    for tile in tiles(labels.shape, depth=sum(weights.shape)):
        probabilities = sigmoid_(resample(mask_logits, rows, columns, tile))
        labels[tile.slices] = _argmax(_combine(weights, probabilities))
    return labels


def _best_class_at_input(
    class_logits: np.ndarray, mask_logits: np.ndarray, geometry: Geometry
) -> np.ndarray:
    weights = softmax(class_logits)[:, :-1].T  # (K, Q)
    rows, columns = geometry.to_input()
    rows_out, columns_out = geometry.input_to_output()
    labels = np.empty(geometry.original_hw, np.int32)
    # A picture smaller than the network's input needs many source pixels per own pixel.
    source_share = max(1, math.prod(geometry.valid_hw) // labels.size)
    for tile in tiles(labels.shape, depth=sum(weights.shape) * source_share):
        vertical, _ = rows_out.part(tile.top, tile.bottom)
        horizontal, _ = columns_out.part(tile.left, tile.right)
        source = Tile(vertical.start, vertical.stop, horizontal.start, horizontal.stop)
        probabilities = sigmoid_(resample(mask_logits, rows, columns, source))
        scores = _combine(weights, probabilities)
        labels[tile.slices] = _argmax(
            resample(scores, rows_out.within(vertical), columns_out.within(horizontal), tile)
        )
    return labels


def _combine(weights: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(K, Q) and (Q, height, width) -> scores (K, height, width)."""
    scores: np.ndarray = weights @ probabilities.reshape(len(probabilities), -1)
    return scores.reshape(-1, *probabilities.shape[1:])


def _argmax(scores: np.ndarray) -> np.ndarray:
    """Index of the largest along axis 0, the first of equals; a running maximum is faster here."""
    best = scores[0].copy()
    labels = np.zeros(best.shape, np.int32)
    for label, score in enumerate(scores[1:], 1):
        np.copyto(labels, label, where=score > best)
        np.maximum(best, score, out=best)
    return labels
