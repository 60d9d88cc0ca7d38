"""Instance answers: countable objects, each with a mask of its own; masks may overlap."""

from dataclasses import dataclass

import numpy as np

from model.inference.masks import box_of_mask, paint_, runs_of_mask
from model.inference.postprocess.geometry import Geometry, sigmoid_, softmax
from model.inference.resize import resample, tiles
from model.structures import RawOutput, Segment, Segmentation


def instance(
    raw: RawOutput,
    geometry: Geometry,
    *,
    is_thing: np.ndarray,
    score_threshold: float,
    mask_threshold: float,
) -> Segmentation:
    """Take the Q best of all Q x K pairs of query and class as candidates.

    A candidate's mask is where its query's probability lies above `mask_threshold`; its score is
    the class probability times the mean probability inside that mask. Stuff, empty masks and
    scores not above `score_threshold` are dropped. A query may appear under several classes.

    Source: the instance inference that arXiv 2112.01527 (section 4.1) added to this model family.

    Args:
        raw: with class logits.
        geometry: its sizes.
        is_thing: (K,) bool.
        score_threshold: in [0, 1].
        mask_threshold: in (0, 1).
    """
    if raw.class_logits is None:
        raise ValueError("expected class logits for an instance answer, got a per-pixel baseline")
    candidates = _candidates(softmax(raw.class_logits)[:, :-1], is_thing, score_threshold)
    masks: dict[int, _Mask] = {}
    found = []
    for query, label, probability in candidates:
        if query not in masks:
            masks[query] = _mask(raw.mask_logits[query], geometry, mask_threshold)
        score = probability * masks[query].mean_probability
        if masks[query].area_px and score > score_threshold:
            found.append((score, label, masks[query]))
    found.sort(key=lambda row: -row[0])  # stable: equals stay in candidate order
    segments = tuple(
        Segment(id_, label, score, mask.area_px, mask.bbox_xywh)
        for id_, (score, label, mask) in enumerate(found, 1)
    )
    runs = tuple(mask.runs for _, _, mask in found)
    columns = np.zeros(geometry.original_hw[::-1], np.int32)  # (w, h): runs are column-major
    for segment, counts in zip(reversed(segments), reversed(runs), strict=True):
        paint_(columns.reshape(-1), counts, segment.id)
    return Segmentation("instance", np.ascontiguousarray(columns.T), segments, runs)


@dataclass(frozen=True, eq=False)
class _Mask:
    """One query's own mask, at the picture's own size."""

    runs: np.ndarray
    area_px: int
    bbox_xywh: tuple[int, int, int, int]
    mean_probability: float


def _candidates(
    probabilities: np.ndarray, is_thing: np.ndarray, score_threshold: float
) -> list[tuple[int, int, float]]:
    """Query, class and probability, the best first; the lower pair of equals.

    A score is at most its class probability, so what already fails the threshold here would
    fail it later.
    """
    queries, classes = probabilities.shape
    flat = probabilities.reshape(-1)
    best = np.argsort(-flat, kind="stable")[:queries]
    best = best[is_thing[best % classes] & (flat[best] > score_threshold)]
    return [(int(i) // classes, int(i) % classes, float(flat[i])) for i in best]


def _mask(mask_logits: np.ndarray, geometry: Geometry, mask_threshold: float) -> _Mask:
    rows, columns = geometry.to_output()
    mask = np.empty(geometry.original_hw, bool)
    total = 0.0
    for tile in tiles(mask.shape, depth=3):
        (probabilities,) = sigmoid_(resample(mask_logits[None], rows, columns, tile))
        inside = probabilities > mask_threshold
        mask[tile.slices] = inside
        total += float(probabilities.sum(where=inside, dtype=np.float64))
    area = int(np.count_nonzero(mask))
    return _Mask(runs_of_mask(mask), area, box_of_mask(mask), total / max(1, area))
