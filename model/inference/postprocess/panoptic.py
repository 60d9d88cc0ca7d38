"""Panoptic answers: every pixel belongs to one segment or to none."""

from collections.abc import Sequence

import numpy as np

from model.inference.postprocess.contest import contest
from model.inference.postprocess.finite import check_finite, check_finite_maps
from model.inference.postprocess.geometry import Geometry, softmax
from model.inference.postprocess.segments import measure, relabel_measured_
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

    Raises:
        EngineError: a class logit, or a mask logit of a query that takes part, is not finite.
    """
    if raw.class_logits is None:
        raise ValueError("expected class logits for a panoptic answer, got a per-pixel baseline")
    check_finite(raw.class_logits)
    probabilities = softmax(raw.class_logits)
    labels = probabilities.argmax(axis=1)
    scores = probabilities.max(axis=1)
    kept = np.flatnonzero((labels != len(is_thing)) & (scores > score_threshold)).astype(np.int32)
    maps = np.ascontiguousarray(raw.mask_logits)
    check_finite_maps(maps, kept)
    owners, own = np.zeros(geometry.original_hw, np.int32), np.zeros(len(kept), np.int64)
    if len(kept):
        contest(
            owners,
            own,
            maps,
            kept,
            scores[kept],
            mask_threshold,
            *geometry.axes("output"),
            True,
        )
    owned, edges = measure(owners, max(1, len(kept)))
    ids, rows = number_segments(
        labels[kept].tolist(),
        scores[kept].tolist(),
        owned.tolist(),
        own.tolist(),
        is_thing,
        overlap_threshold,
    )
    areas, boxes = relabel_measured_(owners, ids, owned, edges)
    segments = tuple(
        Segment(id_, label, score, areas[id_], boxes[id_])
        for id_, (label, score) in enumerate(rows, 1)
    )
    return Segmentation("panoptic", owners, segments)


def number_segments(
    labels: Sequence[int],
    scores: Sequence[float],
    owned: Sequence[int],
    own: Sequence[int],
    is_thing: Sequence[bool],
    overlap_threshold: float,
) -> tuple[np.ndarray, list[tuple[int, float]]]:
    """Decide which queries become segments, and number these from 1 on; see `panoptic`.

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
