"""Bilinear resizing as linear maps along one axis.

Two resizings with a crop between them are one map, composed once per axis, so that logits are
resampled straight from stride 4 to the picture's own size:

    rows = identity(128).resized(512).cut(480).resized(1080)
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class AxisMap:
    """Resampling along one axis: output i is the weighted sum of a few neighbouring inputs.

    Attributes:
        first: (outputs,) int64, ascending: where output i begins to read.
        weights: (outputs, T) float64, for inputs `first[i]` to `first[i] + T - 1`; rows sum to 1.
        inputs: how many values go in; weights beyond them are 0.
    """

    first: np.ndarray
    weights: np.ndarray
    inputs: int

    def cut(self, outputs: int) -> "AxisMap":
        """This map without what lies beyond the first `outputs` values: the padding."""
        return AxisMap(self.first[:outputs], self.weights[:outputs], self.inputs)

    def resized(self, outputs: int) -> "AxisMap":
        """This map followed by a bilinear resize: half-pixel centres, edges clamped.

        Half-pixel centres are `align_corners=False` elsewhere; there is no antialiasing.
        """
        before, taps = self.weights.shape
        centers = ((np.arange(outputs) + 0.5) * (before / outputs) - 0.5).clip(0, before - 1)
        lower = centers.astype(np.int64)
        upper = np.minimum(lower + 1, before - 1)
        share = (centers - lower)[:, None]
        shift = self.first[upper] - self.first[lower]
        weights = np.zeros((outputs, taps + int(shift.max())))
        weights[:, :taps] = (1 - share) * self.weights[lower]
        columns = shift[:, None] + np.arange(taps)
        weights[np.arange(outputs)[:, None], columns] += share * self.weights[upper]
        return AxisMap(self.first[lower], weights, self.inputs)

    def trimmed(self) -> "AxisMap":
        """The same map with as few weights per output as its widest output needs."""
        used = self.weights != 0
        lead = used.argmax(axis=1)
        taps = int((self.weights.shape[1] - used[:, ::-1].argmax(axis=1) - lead).max())
        first = np.minimum(self.first + lead, self.inputs - taps)
        padded = np.pad(self.weights, ((0, 0), (taps, taps)))
        columns = (first - self.first + taps)[:, None] + np.arange(taps)
        return AxisMap(first, np.take_along_axis(padded, columns, axis=1), self.inputs)


def identity(inputs: int) -> AxisMap:
    """The map that changes nothing, to start from."""
    return AxisMap(np.arange(inputs), np.ones((inputs, 1)), inputs)
