"""The three losses of MaskFormer, per decoder layer.

Source: arXiv 2107.06278, section 4.1: cross-entropy 1 with no-object 0.1, focal 20, dice 1.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from model.config import Frozen

# Share of the positives in the focal loss; the exponent is 2. Source: arXiv 1708.02002, section 4.
FOCAL_ALPHA = 0.25


class LossWeights(Frozen):
    """Weights of the losses, and of the matching costs of the same names.

    Attributes:
        classification: of the cross-entropy.
        mask: of the focal loss.
        dice: of the dice loss.
        no_object: weight of the no-object class inside the cross-entropy.
    """

    classification: float = Field(default=1.0, ge=0)
    mask: float = Field(default=20.0, ge=0)
    dice: float = Field(default=1.0, ge=0)
    no_object: float = Field(default=0.1, gt=0)


def class_losses(class_logits: Tensor, labels: Tensor, no_object_weight: float) -> Tensor:
    """Weighted mean of the cross-entropy over all queries of the batch, per layer.

    Args:
        class_logits: (L, B, Q, K+1), no-object last.
        labels: (L, B, Q) int64; K where a query has no target.
        no_object_weight: of queries without target; all others weigh 1.

    Returns:
        (L,) float32.
    """
    no_object = class_logits.shape[-1] - 1
    entropy = F.cross_entropy(class_logits.float().movedim(-1, 1), labels, reduction="none")
    weight = torch.where(labels == no_object, no_object_weight, 1.0)
    return (entropy * weight).sum((1, 2)) / weight.sum((1, 2))


def per_pixel_losses(class_maps: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labelled pixels, per layer: the loss of the per-pixel baselines.

    Args:
        class_maps: (L, B, K, h, w) logits, enlarged bilinearly to the labels' size.
        labels: (B, H, W) int64, negative where nothing is known.

    Returns:
        (L,) float32; 0 where no pixel is labelled.
    """
    hw = (labels.shape[1], labels.shape[2])
    known = (labels >= 0).sum().clamp(min=1)
    losses = []
    for maps in class_maps.float():
        logits = F.interpolate(maps, hw, mode="bilinear", align_corners=False)
        total = F.cross_entropy(logits, labels.clamp(min=-1), ignore_index=-1, reduction="sum")
        losses.append(total / known)
    return torch.stack(losses)


def focal_losses(mask_logits: Tensor, truth: Tensor, counted: Tensor | None = None) -> Tensor:
    """Sigmoid focal loss of each mask, averaged over its pixels.

    Args:
        mask_logits: (R, P) float32.
        truth: (R, P) float32 in {0, 1}.
        counted: (R, P) float32 in {0, 1}, pixels that count; None = all.

    Returns:
        (R,) float32.
    """
    probs = mask_logits.sigmoid()
    missed = truth + probs - 2 * truth * probs  # 1 - p where truth is 1, p where it is 0
    alpha = (1 - FOCAL_ALPHA) + (2 * FOCAL_ALPHA - 1) * truth
    entropy = F.binary_cross_entropy_with_logits(mask_logits, truth, reduction="none")
    loss = alpha * missed.square() * entropy
    if counted is None:
        return loss.mean(1)
    return (loss * counted).sum(1) / counted.sum(1).clamp(min=1)


def dice_losses(mask_logits: Tensor, truth: Tensor, counted: Tensor | None = None) -> Tensor:
    """1 - dice of each mask, with +1 above and below so that two empty masks agree.

    Args and returns as of `focal_losses`.
    """
    probs = mask_logits.sigmoid()
    if counted is not None:
        probs, truth = probs * counted, truth * counted
    overlap = (probs * truth).sum(1)
    return 1 - (2 * overlap + 1) / (probs.sum(1) + truth.sum(1) + 1)
