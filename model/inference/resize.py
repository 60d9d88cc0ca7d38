"""Bilinear resizing as linear maps along one axis.

Two resizings with a crop between them are one map, composed once per axis, so that logits are
resampled straight from stride 4 to the picture's own size, tile by tile:

    rows = identity(128).resized(512).cut(480).resized(1080)
"""

from collections.abc import Iterator
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

    def within(self, inputs: slice) -> "AxisMap":
        """This map for callers that hold only those inputs."""
        return AxisMap(self.first - inputs.start, self.weights, inputs.stop - inputs.start)

    def part(self, start: int, stop: int) -> tuple[slice, np.ndarray]:
        """What outputs start..stop need.

        Returns:
            the inputs that they depend on; the (stop - start, inputs) float32 matrix on those.
        """
        taps = self.weights.shape[1]
        begin, end = int(self.first[start]), int(self.first[stop - 1]) + taps
        matrix = np.zeros((stop - start, end - begin), np.float32)
        columns = self.first[start:stop, None] - begin + np.arange(taps)
        np.put_along_axis(matrix, columns, self.weights[start:stop].astype(np.float32), axis=1)
        window = slice(begin, min(end, self.inputs))
        return window, matrix[:, : window.stop - begin]


@dataclass(frozen=True)
class Tile:
    """A rectangle of output pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the tile in an array (h, w)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def identity(inputs: int) -> AxisMap:
    """The map that changes nothing, to start from."""
    return AxisMap(np.arange(inputs), np.ones((inputs, 1)), inputs)


def resample(maps: np.ndarray, rows: AxisMap, columns: AxisMap, tile: Tile) -> np.ndarray:
    """One tile of the resized maps.

    Args:
        maps: (N, rows in, columns in) float32.
        rows: applied along axis 1.
        columns: applied along axis 2.
        tile: which outputs.

    Returns:
        (N, tile height, tile width) float32, fresh memory.
    """
    vertical, row_matrix = rows.part(tile.top, tile.bottom)
    horizontal, column_matrix = columns.part(tile.left, tile.right)
    tall = np.matmul(row_matrix, maps[:, vertical, horizontal])  # (N, tile height, columns in)
    wide = tall.reshape(-1, tall.shape[2]) @ column_matrix.T  # one product for all maps
    tile_maps: np.ndarray = wide.reshape(*tall.shape[:2], -1)
    return tile_maps


def tiles(hw: tuple[int, int], depth: int, budget: int = 2**20) -> Iterator[Tile]:
    """Cut a picture into tiles of about `budget` values over `depth` maps.

    The budget (4 MB of float32) bounds the memory of post-processing. Squares need the fewest
    inputs per output.
    """
    height, width = hw
    side = max(8, int((budget / depth) ** 0.5))
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Tile(top, min(top + side, height), left, min(left + side, width))
