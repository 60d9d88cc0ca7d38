"""Post-processing on the device that holds the network's output.

The same rules, thresholds and order as `model.inference.postprocess`, computed densely: an
accelerator has arithmetic to spare, and deciding block by block would not pay there. Memory is
bounded by tiles of rows. Only the label map and the segments (instance: the masks' run lengths)
cross to the host. Run on the CPU by its tests; on CUDA it was not run here.
"""

from collections.abc import Collection, Sequence

import numpy as np
from torch import Tensor

from model.config import ScoresAt
from model.errors import EngineError
from model.inference.postprocess.finite import NOT_FINITE
from model.inference.postprocess.geometry import Geometry
from model.inference.postprocess.segments import keep_classes
from model.inference.postprocess_torch.instance import instance
from model.inference.postprocess_torch.panoptic import panoptic
from model.inference.postprocess_torch.semantic import semantic
from model.structures import Mode, Sample, Segmentation


def postprocess_tensors(
    class_logits: Tensor | None,
    mask_logits: Tensor,
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
    """Answer one picture; blocks until the answer is on the host.

    Args:
        class_logits: (Q, K+1) float32 on any device; None for a per-pixel baseline.
        mask_logits: (Q, ceil(H/4), ceil(W/4)) float32 there.
        sample: the prepared picture; only its sizes are read.
        mode: and all below as in `model.inference.postprocess.postprocess`.
        is_thing: per class.
        score_threshold: panoptic and instance.
        overlap_threshold: panoptic.
        mask_threshold: panoptic and instance.
        scores_at: semantic.
        classes: class indices to keep.

    Raises:
        EngineError: a logit is NaN or infinite.
    """
    given = (class_logits, mask_logits)
    if not all(logits is None or logits.isfinite().all() for logits in given):
        raise EngineError(NOT_FINITE)
    geometry = Geometry.of(mask_logits.shape, sample)
    if mode == "semantic":
        segmentation = semantic(class_logits, mask_logits, geometry, scores_at=scores_at)
    elif class_logits is None:
        raise ValueError(f"expected class logits for mode {mode}, got a per-pixel baseline")
    elif mode == "panoptic":
        segmentation = panoptic(
            class_logits,
            mask_logits,
            geometry,
            is_thing=is_thing,
            score_threshold=score_threshold,
            overlap_threshold=overlap_threshold,
            mask_threshold=mask_threshold,
        )
    else:
        segmentation = instance(
            class_logits,
            mask_logits,
            geometry,
            is_thing=np.asarray(is_thing, bool),
            score_threshold=score_threshold,
            mask_threshold=mask_threshold,
        )
    return segmentation if classes is None else keep_classes(segmentation, classes)
