"""Panoptic answers: every pixel belongs to one segment or to none."""

from collections.abc import Sequence

import numpy as np

from model.inference.postprocess import kernels
from model.inference.postprocess.contest import lead_blocks, lead_pixels
from model.inference.postprocess.geometry import Geometry, softmax
from model.inference.postprocess.segments import areas_and_boxes, relabel_
from model.structures import RawOutput, Segment, Segmentation


def panoptic(
    raw: RawOutput,
    geometry: Geometry,
    *,
    is_thing: Sequence[bool],
    score_threshold: float,
    overlap_threshold: float,
    mask_threshold: float,
) -> Segmentation:
    """Let queries compete for pixels, then drop those that lost too much of their own mask.

    1. A query takes part if its best class is not no-object and scores above `score_threshold`.
    2. A pixel belongs to the query with the largest score times mask probability, the lower one
       of equals, however small the product.
    3. A query is dropped if it owns nothing, has no own mask (probability at least
       `mask_threshold`), or owns less than `overlap_threshold` times its own mask's area. Its
       pixels become void.
    4. Queries of one stuff class become one segment, with the best of their scores.

    Source: arXiv 2107.06278, section 3.4.

    Args:
        raw: with class logits.
        geometry: its sizes.
        is_thing: per class.
        score_threshold: in [0, 1].
        overlap_threshold: in [0, 1].
        mask_threshold: in (0, 1).
    """
    if raw.class_logits is None:
        raise ValueError("expected class logits for a panoptic answer, got a per-pixel baseline")
    probabilities = softmax(raw.class_logits)
    labels = probabilities.argmax(axis=1)
    scores = probabilities.max(axis=1)
    kept = np.flatnonzero((labels != len(is_thing)) & (scores > score_threshold))
    owners, owned, own = _compete(raw.mask_logits[kept], scores[kept], geometry, mask_threshold)
    ids, rows = _number(
        labels[kept].tolist(), scores[kept].tolist(), owned, own, is_thing, overlap_threshold
    )
    relabel_(owners, ids)
    areas, boxes = areas_and_boxes(owners)
    segments = tuple(
        Segment(id_, label, score, areas[id_], boxes[id_])
        for id_, (label, score) in enumerate(rows, 1)
    )
    return Segmentation("panoptic", owners, segments)


def _compete(
    mask_logits: np.ndarray, scores: np.ndarray, geometry: Geometry, mask_threshold: float
) -> tuple[np.ndarray, list[int], list[int]]:
    """Find every pixel's owner.

    Returns:
        (h, w) int32, index of the owning query; 0 too where there is no query.
        Per query, the pixels it owns.
        Per query, the pixels of its own mask.
    """
    owners = np.zeros(geometry.original_hw, np.int32)
    if not len(scores):
        return owners, [], []
    threshold = float(np.float32(mask_threshold))
    own, sums = np.zeros(len(scores), np.int64), np.zeros(len(scores))
    for strip in geometry.probabilities(mask_logits, "output").strips():
        lower, upper = strip.bounds()
        leaders, is_open = lead_blocks(lower * scores, upper * scores)
        is_open |= ((lower < threshold) & (upper >= threshold)).any(axis=-1)
        strip.fill(owners, leaders)
        is_own = (lower >= threshold) & ~is_open[..., None]
        own += np.where(is_own, strip.areas_px[..., None], 0).sum(axis=(0, 1))
        for positions, values in strip.pixels(is_open):
            owners.reshape(-1)[positions], _ = lead_pixels(values, scores)
            kernels.tally(own, sums, values, threshold)
    owned = np.bincount(owners.reshape(-1), minlength=len(scores))
    return owners, owned.tolist(), own.tolist()


def _number(
    labels: Sequence[int],
    scores: Sequence[float],
    owned: Sequence[int],
    own: Sequence[int],
    is_thing: Sequence[bool],
    overlap_threshold: float,
) -> tuple[np.ndarray, list[tuple[int, float]]]:
    """Number the segments from 1 on.

    Returns:
        per query, the id of its segment, 0 = dropped; at least one element.
        Per id, class index and score.
    """
    ids = np.zeros(max(1, len(labels)), np.int32)
    segments: list[tuple[int, float]] = []
    stuff: dict[int, int] = {}
    for query, (label, score) in enumerate(zip(labels, scores, strict=True)):
        if not owned[query] or not own[query] or owned[query] / own[query] < overlap_threshold:
            continue
        if label in stuff:
            ids[query] = stuff[label]
            segments[stuff[label] - 1] = label, max(score, segments[stuff[label] - 1][1])
            continue
        segments.append((label, score))
        ids[query] = len(segments)
        if not is_thing[label]:
            stuff[label] = len(segments)
    return ids, segments
