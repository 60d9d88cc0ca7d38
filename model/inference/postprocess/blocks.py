"""Answers cut into blocks: which logits a block depends on, and how its pixels come from them.

A block is a rectangle of answer pixels that depend on the same few mask logits. Resampling is
averaging, so every pixel of a block lies between the smallest and the largest of those logits, and
its probability between theirs, because the sigmoid rises. Where these bounds already decide a
question, no pixel is computed.
"""

from typing import NamedTuple

import numpy as np

from model.inference.resize import AxisMap

SPAN = 4  # logits per block and axis
MOST_PX = 16  # answer pixels per block and axis, at most


class Taps(NamedTuple):
    """A linear map along one axis in the precision of the mask logits: see `AxisMap`."""

    first: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, axis_map: AxisMap) -> "Taps":
        """The same map with as few taps as it needs, three at most."""
        trimmed = axis_map.trimmed()
        return cls(trimmed.first.astype(np.int32), trimmed.weights.astype(np.float32))


class Axis(NamedTuple):
    """One axis of the way from logits to answer, cut into B blocks.

    Between logits and answer lie the pixels where the sigmoid is taken, here called middles.

    Attributes:
        outputs: (B + 1,) int32, where each block's answer pixels begin, and their end.
        inputs: (B,) int32, the first of the `SPAN` logits that a block depends on.
        before: (T, middles) int32, ascending, the logits that a middle is the weighted sum of;
            T = 2 where one resize lies between, 3 where two do.
        before_weights: (T, middles) float32.
        after: (T, answer pixels) int32, ascending, the middles likewise.
        after_weights: (T, answer pixels) float32.
        is_direct: whether each answer pixel is one middle.
        most_middles: that any block depends on.
    """

    outputs: np.ndarray
    inputs: np.ndarray
    before: np.ndarray
    before_weights: np.ndarray
    after: np.ndarray
    after_weights: np.ndarray
    is_direct: bool
    most_middles: int


def cut(before: AxisMap, after: AxisMap) -> Axis:
    """Cut an axis into blocks, each as large as `SPAN` and `MOST_PX` allow.

    Args:
        before: from logits to where the sigmoid is taken.
        after: from there to the answer.

    Raises:
        ValueError: a pixel depends on more than `SPAN` logits, which compiled loops rely on.
    """
    into, weights = _taps(before)
    onto, shares = _taps(after)
    begins = _begins(into[0, onto[0]].tolist(), into[-1, onto[-1]].tolist())
    outputs = np.append(begins, onto.shape[1]).astype(np.int32)
    spans = into[-1, onto[-1, outputs[1:] - 1]] + 1 - into[0, onto[0, begins]]
    if spans.max() > SPAN:
        raise ValueError(f"expected pixels that depend on {SPAN} logits, got {spans.max()}")
    is_direct = np.array_equal(onto[0], np.arange(into.shape[1])) and bool((shares[0] == 1).all())
    return Axis(
        outputs,
        into[0, onto[0, begins]].clip(0, max(0, before.inputs - SPAN)),
        into,
        weights,
        onto,
        shares,
        is_direct,
        int((onto[-1, outputs[1:] - 1] + 1 - onto[0, begins]).max()),
    )


def _taps(axis_map: AxisMap) -> tuple[np.ndarray, np.ndarray]:
    """Two or three inputs per output: int32 indices, float32 weights; spare ones weigh 0."""
    first, taken = Taps.of(axis_map)
    taps = max(2, taken.shape[1])
    weights = np.zeros((taps, len(first)), np.float32)
    weights[: taken.shape[1]] = taken.T
    used = weights != 0
    lowest, highest = used.argmax(axis=0), taps - 1 - used[::-1].argmax(axis=0)
    steps = np.arange(taps)[:, None].clip(lowest, highest)
    return (first + steps).astype(np.int32), weights


def _begins(first: list[int], last: list[int]) -> np.ndarray:
    """The first answer pixel of every block, by the first and last logit of every pixel."""
    begins: list[int] = []
    end_px = end_logit = 0
    for pixel, (low, high) in enumerate(zip(first, last, strict=True)):
        if pixel >= end_px or high >= end_logit:
            begins.append(pixel)
            end_px, end_logit = pixel + MOST_PX, low + SPAN
    return np.array(begins)
