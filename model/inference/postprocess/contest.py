"""Which of many maps is the largest: in whole blocks, and at pixels."""

import numpy as np

from model.inference.postprocess import kernels


def lead_blocks(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decide blocks by their bounds.

    Args:
        lower: (block rows, block columns, N).
        upper: likewise.

    Returns:
        two (block rows, block columns) arrays: the best by its lower bound, int64; whether another
        one could be larger somewhere, bool.
    """
    best = lower.max(axis=-1, keepdims=True)
    return lower.argmax(axis=-1), np.count_nonzero(upper >= best, axis=-1) > 1


def lead_pixels(
    values: np.ndarray, weights: np.ndarray, reserves: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find every pixel's largest weighted value, the first of equals.

    Args:
        values: (P, at least N) float32.
        weights: (N,) float32.
        reserves: (N,) float32 >= 0, what each value may still gain; none by default.

    Returns:
        (P,) int32; (P,) bool, whether it stays the largest whatever the reserves become.
    """
    leaders, is_sure = np.empty(len(values), np.int32), np.empty(len(values), bool)
    reserves = np.zeros_like(weights) if reserves is None else reserves
    kernels.lead(leaders, is_sure, values, weights, reserves)
    return leaders, is_sure
