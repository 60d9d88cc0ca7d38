"""What the network says -> the answer for one picture, at the picture's own size.

One file per mode: its rules. Bounds decide most of a picture block by block, compiled loops compute
the rest: exactly what a dense computation gives, in a fraction of its time, with memory bounded by
the answer (docs/decisions/0006-post-processing.md). `blocks` cuts, `kernels` bounds and evaluates,
`contest` (queries), `classes` and `bits` (masks) decide, `points` computes what is left. The order
of all steps is the paper's reference implementation's, checked against its numbers in
`tests/model/inference/test_reference.py`.
"""

from collections.abc import Collection, Sequence

import numpy as np

from model.config import ScoresAt
from model.inference.postprocess.geometry import Geometry
from model.inference.postprocess.instance import instance
from model.inference.postprocess.panoptic import panoptic
from model.inference.postprocess.segments import keep_classes
from model.inference.postprocess.semantic import semantic
from model.structures import Mode, RawOutput, Sample, Segmentation


def postprocess(
    raw: RawOutput,
    sample: Sample,
    *,
    mode: Mode,
    is_thing: Sequence[bool],
    score_threshold: float,
    overlap_threshold: float,
    mask_threshold: float,
    scores_at: ScoresAt,
    classes: Collection[int] | None = None,
) -> Segmentation:
    """Answer one picture.

    Args:
        raw: the network's output for this picture alone.
        sample: the prepared picture; only its sizes are read.
        mode: which question to answer.
        is_thing: per class, K of them: countable (thing) or not (stuff).
        score_threshold: panoptic and instance: a segment's score must lie above it.
        overlap_threshold: panoptic: least share of its own mask that a query must win.
        mask_threshold: panoptic and instance: probability that makes a pixel part of a query's
            own mask.
        scores_at: semantic: where masks are combined to class scores; see
            `model.config.PostprocessingConfig`.
        classes: class indices to keep. The others take part in the competition for pixels and
            become void afterwards, so that a kept segment is the same as without this filter.

    Raises:
        EngineError: a logit that the answer depends on is NaN or infinite.
    """
    geometry = Geometry.of(raw.mask_logits.shape, sample)
    if mode == "semantic":
        segmentation = semantic(raw, geometry, scores_at=scores_at)
    elif mode == "panoptic":
        segmentation = panoptic(
            raw,
            geometry,
            is_thing=is_thing,
            score_threshold=score_threshold,
            overlap_threshold=overlap_threshold,
            mask_threshold=mask_threshold,
        )
    else:
        segmentation = instance(
            raw,
            geometry,
            is_thing=np.asarray(is_thing, bool),
            score_threshold=score_threshold,
            mask_threshold=mask_threshold,
        )
    return segmentation if classes is None else keep_classes(segmentation, classes)
