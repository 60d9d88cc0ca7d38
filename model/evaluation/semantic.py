"""Semantic scores from a confusion matrix.

Source: the definitions of detectron2's semantic evaluator, whose numbers the tests reproduce.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Which classes the mean IoU is taken over: those in the truth (detectron2 since July 2022), or
# also those that were predicted without being in the truth (before, when the original's model
# zoo was scored). They differ where a class is absent from the truth.
MeanOver = Literal["truth", "truth_or_prediction"]


@dataclass(frozen=True, eq=False)
class SemanticScores:
    """Shares in [0, 1]; NaN where undefined.

    Attributes:
        mean_iou: over the classes that `MeanOver` names.
        weighted_iou: over the classes in the truth, weighted by their pixels (fwIoU).
        mean_accuracy: mean recall of the classes in the truth (mACC).
        pixel_accuracy: share of counted pixels that are right (pACC).
        iou: (K,) per class.
        accuracy: (K,) recall per class.
    """

    mean_iou: float
    weighted_iou: float
    mean_accuracy: float
    pixel_accuracy: float
    iou: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def count_pixels(
    predicted: NDArray[np.integer], truth: NDArray[np.integer], num_classes: int
) -> NDArray[np.int64]:
    """Confusion matrix of one picture; matrices of several pictures add up.

    Args:
        predicted: (h, w) class index per pixel; anything outside [0, K) is void.
        truth: (h, w) likewise; void pixels of the truth count for no score.
        num_classes: K.

    Returns:
        (K+1, K+1) pixels; rows predicted, columns truth, the last of both void.
    """
    rows, columns = (
        np.where((labels >= 0) & (labels < num_classes), labels, num_classes).astype(np.int64)
        for labels in (predicted, truth)
    )
    side = num_classes + 1
    pairs = np.bincount((rows * side + columns).ravel(), minlength=side * side)
    return pairs.reshape(side, side)


def semantic_scores(confusion: NDArray[np.int64], mean_over: MeanOver = "truth") -> SemanticScores:
    """Scores of a whole data set from the sum of its confusion matrices."""
    counted = confusion[:, :-1]  # without what is void in the truth
    right = counted.diagonal().astype(np.float64)
    true = counted.sum(0).astype(np.float64)
    predicted = counted[:-1].sum(1).astype(np.float64)
    union = true + predicted - right
    iou = np.divide(right, union, out=np.full_like(right, np.nan), where=union > 0)
    accuracy = np.divide(right, true, out=np.full_like(right, np.nan), where=true > 0)
    present = true > 0
    over = present if mean_over == "truth" else union > 0
    return SemanticScores(
        mean_iou=_mean(iou[over]),
        weighted_iou=float((iou[present] * true[present]).sum() / max(true.sum(), 1)),
        mean_accuracy=_mean(accuracy[present]),
        pixel_accuracy=float(right.sum() / max(true.sum(), 1)),
        iou=iou,
        accuracy=accuracy,
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
