"""Semantic answers from several sizes of a picture and their mirror images, averaged.

Source: arXiv 2107.06278, appendix A: six sizes, each also flipped; the score maps of the twelve
views are averaged at the picture's own size.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from model.config import PreprocessingConfig
from model.inference.preprocess import preprocess
from model.inference.resize import AxisMap, identity
from model.inference.segmenter import Segmenter
from model.structures import RawOutput, Sample

# Of the size that the model is used at: 256 to 896 px for one used at 512.
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def segment_views(segmenter: Segmenter, image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The class of every pixel, by the mean of all views' scores.

    Args:
        segmenter: of any model; a baseline's class maps are averaged as they are.
        image: (h, w, 3) uint8 RGB.

    Returns:
        (h, w) class indices.
    """
    manifest = segmenter.artifact.manifest
    total: NDArray[np.float32] | float = 0.0
    for config in view_sizes(manifest.preprocessing, image.shape[:2]):
        for step in (1, -1):
            sample = preprocess(np.ascontiguousarray(image[:, ::step]), config)
            (raw,) = segmenter.infer([sample])
            scores = class_scores(raw, sample, manifest.postprocessing.scores_at)
            total = total + scores[..., ::step]
    best: NDArray[np.int64] = np.asarray(total).argmax(0)
    return best


def view_sizes(config: PreprocessingConfig, hw: tuple[int, ...]) -> Iterator[PreprocessingConfig]:
    """The preprocessing of each size; the longer side's limit grows with the largest."""
    shortest = config.shortest_edge_px or min(hw)
    for scale in SCALES:
        edges = {
            "shortest_edge_px": max(1, round(scale * shortest)),
            "longest_edge_px": round(SCALES[-1] * config.longest_edge_px),
        }
        yield config.model_copy(update=edges)


def class_scores(raw: RawOutput, sample: Sample, scores_at: str) -> NDArray[np.float32]:
    """Dense scores (K, h, w) at the picture's own size; see `PostprocessingConfig.scores_at`."""
    sides = raw.mask_logits.shape[1:]
    original = [identity(side) for side in sample.original_hw]
    if raw.class_logits is None:
        enlarged = [identity(side).resized(4 * side) for side in sides]
        return _resample(raw.mask_logits, _cut(enlarged, sample))
    to_input = [identity(a).resized(b) for a, b in zip(sides, sample.padded_hw, strict=True)]
    to_output = _cut(to_input, sample)
    exponentials = np.exp(raw.class_logits - raw.class_logits.max(-1, keepdims=True))
    weights = (exponentials / exponentials.sum(-1, keepdims=True))[:, :-1].T  # (K, Q)
    if scores_at == "output":
        first, second = to_output, original
    elif scores_at == "input":
        first = [axis.cut(side) for axis, side in zip(to_input, sample.valid_hw, strict=True)]
        pairs = zip(sample.valid_hw, sample.original_hw, strict=True)
        second = [identity(valid).resized(side) for valid, side in pairs]
    else:
        first, second = [identity(side) for side in sides], to_output
    with np.errstate(over="ignore"):  # exp = inf gives the probability 0
        masks = 1 / (1 + np.exp(-_resample(raw.mask_logits, first)))  # (Q, rows, columns)
    combined = np.tensordot(weights, masks, 1)
    return combined if second is original else _resample(combined, second)


def _cut(enlarged: list[AxisMap], sample: Sample) -> list[AxisMap]:
    """Without the padding, and at the picture's own size."""
    sizes = zip(enlarged, sample.valid_hw, sample.original_hw, strict=True)
    return [axis.cut(valid).resized(original) for axis, valid, original in sizes]


def _resample(maps: NDArray[np.float32], ways: list[AxisMap]) -> NDArray[np.float32]:
    """(N, rows, columns) through one map per axis."""
    rows, columns = (_matrix(way) for way in ways)
    resampled: NDArray[np.float32] = rows @ maps.astype(np.float32) @ columns.T
    return resampled


def _matrix(way: AxisMap) -> NDArray[np.float32]:
    """(outputs, inputs); taps beyond the inputs weigh nothing."""
    outputs, taps = way.weights.shape
    matrix = np.zeros((outputs, way.inputs + taps), np.float32)
    places = way.first[:, None] + np.arange(taps)
    np.put_along_axis(matrix, places, way.weights.astype(np.float32), axis=1)
    return matrix[:, : way.inputs]
