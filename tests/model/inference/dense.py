"""Post-processing as the definitions say it: every query, class and pixel computed, nothing else.

The reference that `model.inference.postprocess` must equal wherever the two best candidates of a
pixel lie further apart than float32 rounding. Memory grows with queries x pixels.
"""

from collections.abc import Sequence

import numpy as np

from model.inference.masks import box_of_mask, runs_of_mask
from model.inference.resize import AxisMap, identity
from model.structures import RawOutput, Sample, Segment, Segmentation


def matrix(way: AxisMap) -> np.ndarray:
    """An axis map as (outputs, inputs) float32."""
    full = np.zeros((len(way.first), way.inputs + way.weights.shape[1]))
    columns = way.first[:, None] + np.arange(way.weights.shape[1])
    np.put_along_axis(full, columns, way.weights, axis=1)
    return full[:, : way.inputs].astype(np.float32)


def resample(maps: np.ndarray, rows: AxisMap, columns: AxisMap) -> np.ndarray:
    """(N, rows in, columns in) -> (N, rows out, columns out)."""
    return np.matmul(matrix(rows), maps) @ matrix(columns).T


def sigmoid(logits: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # exp = inf gives the probability 0
        return 1 / (1 + np.exp(-logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def probabilities(mask_logits: np.ndarray, sample: Sample, scores_at: str) -> np.ndarray:
    """(Q, h, w) mask probabilities of the answer's pixels."""
    to_input, to_output, from_input = [], [], []
    for logits, padded, valid, original in sizes(mask_logits, sample):
        to_input.append(identity(logits).resized(padded).cut(valid))
        to_output.append(to_input[-1].resized(original))
        from_input.append(identity(valid).resized(original))
    if scores_at == "input":
        return resample(sigmoid(resample(mask_logits, *to_input)), *from_input)
    if scores_at == "output":
        return sigmoid(resample(mask_logits, *to_output))
    return resample(sigmoid(mask_logits), *to_output)


def sizes(maps: np.ndarray, sample: Sample) -> list[tuple[int, int, int, int]]:
    """Per axis: logits, padded, valid and original."""
    of_all = maps.shape[1:], sample.padded_hw, sample.valid_hw, sample.original_hw
    return list(zip(*of_all, strict=True))


def semantic_scores(raw: RawOutput, sample: Sample, scores_at: str) -> np.ndarray:
    """(K, h, w); a baseline's class maps are enlarged by exactly 4 before the cut."""
    if raw.class_logits is None:
        ways = [
            identity(logits).resized(4 * logits).cut(valid).resized(original)
            for logits, _, valid, original in sizes(raw.mask_logits, sample)
        ]
        return resample(raw.mask_logits, *ways)
    masks = probabilities(raw.mask_logits, sample, scores_at)
    weights = softmax(raw.class_logits)[:, :-1]
    return (weights.T @ masks.reshape(len(masks), -1)).reshape(-1, *masks.shape[1:])


def semantic(raw: RawOutput, sample: Sample, *, scores_at: str) -> Segmentation:
    labels = semantic_scores(raw, sample, scores_at).argmax(axis=0).astype(np.int32) + 1
    segments = [row(id_, id_ - 1, None, labels == id_) for id_ in np.unique(labels).tolist()]
    return Segmentation("semantic", labels, tuple(segments))


def panoptic(
    raw: RawOutput,
    sample: Sample,
    *,
    is_thing: Sequence[bool],
    score_threshold: float,
    overlap_threshold: float,
    mask_threshold: float,
) -> Segmentation:
    classes = softmax(raw.class_logits)
    labels, scores = classes.argmax(axis=1), classes.max(axis=1)
    kept = np.flatnonzero((labels != len(is_thing)) & (scores > score_threshold))
    id_map = np.zeros(sample.original_hw, np.int32)
    rows: list[tuple[int, float]] = []
    stuff: dict[int, int] = {}
    if len(kept):
        masks = probabilities(raw.mask_logits[kept], sample, "output")
        owners = (masks * scores[kept, None, None]).argmax(axis=0)
    for index, query in enumerate(kept):
        label, score = int(labels[query]), float(scores[query])
        owned, own = int((owners == index).sum()), int((masks[index] >= mask_threshold).sum())
        if not owned or not own or owned / own < overlap_threshold:
            continue
        if label not in stuff:
            rows.append((label, score))
        id_ = stuff.get(label, len(rows))
        if not is_thing[label]:
            stuff[label] = id_
        rows[id_ - 1] = label, max(score, rows[id_ - 1][1])
        id_map[owners == index] = id_
    segments = [row(n, label, score, id_map == n) for n, (label, score) in enumerate(rows, 1)]
    return Segmentation("panoptic", id_map, tuple(segments))


def instance(
    raw: RawOutput,
    sample: Sample,
    *,
    is_thing: Sequence[bool],
    score_threshold: float,
    mask_threshold: float,
) -> Segmentation:
    classes = softmax(raw.class_logits)[:, :-1]
    masks = probabilities(raw.mask_logits, sample, "output")
    found = []
    for pair in np.argsort(-classes.reshape(-1), kind="stable")[: len(classes)].tolist():
        query, label = divmod(pair, classes.shape[1])
        inside = masks[query] > mask_threshold
        if is_thing[label] and inside.any():
            mean = float(masks[query][inside].mean(dtype=np.float64))
            if float(classes[query, label]) * mean > score_threshold:
                found.append((float(classes[query, label]) * mean, label, inside))
    found.sort(key=lambda candidate: -candidate[0])
    segments = [row(n, label, score, mask) for n, (score, label, mask) in enumerate(found, 1)]
    id_map = np.zeros(sample.original_hw, np.int32)
    for id_ in range(len(found), 0, -1):
        id_map[found[id_ - 1][2]] = id_
    runs = tuple(runs_of_mask(mask) for _, _, mask in found)
    return Segmentation("instance", id_map, tuple(segments), runs)


def row(id_: int, label: int, score: float | None, mask: np.ndarray) -> Segment:
    return Segment(id_, label, score, int(mask.sum()), box_of_mask(mask))
