"""Pictures cut into blocks: what is known of each without looking at its pixels, and its pixels.

A block is a rectangle of answer pixels that depend on the same few mask logits. Resampling is
averaging, so every pixel of a block lies between the smallest and the largest of those logits, and
its probability between theirs, because the sigmoid rises. Where these bounds already decide a
question, no pixel is computed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from model.inference.postprocess import kernels
from model.inference.postprocess.kernels import LANES
from model.inference.resize import AxisMap

_STEP = 2  # inputs per block and axis; 1 costs more bounds, 3 more pixels (measured)
_MOST_PX = 16  # per block and axis, to bound scratch memory
_STRIP_VALUES = 2**20  # packed logits at once
_CHUNK_VALUES = 2**17  # values of pixels at once: fits into a core's own cache
_ROUNDING = np.float32(1e-4)  # relative; far above the rounding of three sums of float32


class Taps(NamedTuple):
    """A linear map along one axis as the compiled loops read it: see `AxisMap`."""

    first: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, axis_map: AxisMap) -> "Taps":
        """The same map with as few taps as it needs, three at most."""
        trimmed = axis_map.trimmed()
        return cls(trimmed.first.astype(np.int32), trimmed.weights.astype(np.float32))

    @property
    def taps(self) -> int:
        """Inputs read per output."""
        return int(self.weights.shape[1])

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last input, inclusive, that has any weight, per output."""
        used = self.weights != 0
        last = self.weights.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
        return self.first + used.argmax(axis=1), self.first + last


class Axis(NamedTuple):
    """One axis of the way from logits to answer.

    Attributes:
        before: from logits to where the sigmoid is taken.
        after: from there to the answer.
        outputs: (blocks, 2) int32, answer pixels: begin, end.
        inputs: (blocks, 2) int32, the logits that they depend on: begin, end.
    """

    before: Taps
    after: Taps
    outputs: np.ndarray
    inputs: np.ndarray

    @classmethod
    def of(cls, before: AxisMap, after: AxisMap) -> "Axis":
        """Cut an axis into blocks: `_STEP` inputs, `_MOST_PX` outputs."""
        first, second = Taps.of(before), Taps.of(after)
        lowest, highest = first.reach()
        from_, to = second.reach()
        lower, upper = lowest[from_], highest[to]
        count = len(lower)
        groups = np.flatnonzero(np.diff(lower // _STEP, prepend=-1))
        parts = [
            np.arange(begin, end, _MOST_PX)
            for begin, end in zip(groups, np.append(groups[1:], count), strict=True)
        ]
        begins = np.concatenate(parts)
        ends = np.append(begins[1:], count)
        outputs = np.stack([begins, ends], axis=1).astype(np.int32)
        inputs = np.stack([lower[begins], upper[ends - 1] + 1], axis=1).astype(np.int32)
        return cls(first, second, outputs, inputs)

    def window(self, begin: int, end: int) -> slice:
        """The logits that are read for outputs begin..end, also those with weight 0."""
        low, high = self.after.first[begin], self.after.first[end - 1] + self.after.taps - 1
        return slice(self.before.first[low], self.before.first[high] + self.before.taps)


class Field:
    """Maps at stride 4 together with their way to the answer."""

    def __init__(self, maps: np.ndarray, rows: Axis, columns: Axis, *, activate: bool) -> None:
        """Nothing is computed yet.

        Args:
            maps: (N, rows, columns) float32, N >= 1.
            rows: the way of axis 1.
            columns: the way of axis 2.
            activate: whether a sigmoid is on the way.
        """
        self.maps = maps
        self.rows = rows
        self.columns = columns
        self.activate = activate
        self.hw = int(rows.outputs[-1, 1]), int(columns.outputs[-1, 1])

    def strips(self) -> Iterator["Strip"]:
        """Bands of whole block rows, from the top."""
        most = max(1, _STRIP_VALUES // (len(self.maps) * self.maps.shape[2]))
        begin, count = 0, len(self.rows.inputs)
        while begin < count:
            reach = self.rows.inputs[begin:, 1] - self.rows.inputs[begin, 0]
            end = begin + max(1, int(np.searchsorted(reach, most, "right")))
            yield Strip(self, begin, end)
            begin = end


class Strip:
    """Some block rows of a field, with their part of the maps laid out for the compiled loops.

    Attributes:
        top: first row of the answer.
        bottom: last row, exclusive.
        areas_px: (block rows, block columns) int64.
    """

    def __init__(self, field: Field, begin: int, end: int) -> None:
        """Pack block rows begin..end of a field."""
        self._field = field
        self._rows = slice(begin, end)
        self._outputs = field.rows.outputs[begin:end]
        self.top, self.bottom = int(self._outputs[0, 0]), int(self._outputs[-1, 1])
        heights, widths = np.diff(self._outputs)[:, 0], np.diff(field.columns.outputs)[:, 0]
        self._sides = heights, widths
        self.areas_px = np.multiply.outer(heights, widths).astype(np.int64)
        window = field.rows.window(self.top, self.bottom)
        self._origin = window.start
        maps = field.maps[:, window]
        self._packed = np.empty((*maps.shape[1:], -(-len(maps) // LANES) * LANES), np.float32)
        self._packed[..., : len(maps)] = maps.transpose(1, 2, 0)
        self._packed[..., len(maps) :] = 0

    def of(self, field: Field) -> "Strip":
        """The same block rows of another field with the same axes."""
        return Strip(field, self._rows.start, self._rows.stop)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and largest value that each map may have in each block.

        Returns:
            two (block rows, block columns, N) float32 arrays.
        """
        field = self._field
        shape = *self.areas_px.shape, self._packed.shape[2]
        lower, upper = np.empty(shape, np.float32), np.empty(shape, np.float32)
        inputs = field.rows.inputs[self._rows], field.columns.inputs
        kernels.extremes(lower.reshape(-1), upper.reshape(-1), self._packed, *inputs, self._origin)
        if field.activate:
            kernels.sigmoid_(lower.reshape(-1), lower.size)
            kernels.sigmoid_(upper.reshape(-1), upper.size)
        lower, upper = lower[..., : len(field.maps)], upper[..., : len(field.maps)]
        slack = _ROUNDING * np.maximum(np.abs(lower), np.abs(upper))
        return lower - slack, upper + slack

    def fill(self, answer: np.ndarray, values: np.ndarray) -> None:
        """Write one value per block (block rows, block columns) into the picture (h, w)."""
        heights, widths = self._sides
        answer[self.top : self.bottom] = values.repeat(widths, axis=1).repeat(heights, axis=0)

    def pixels(self, is_open: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Compute all pixels of some blocks.

        Args:
            is_open: (block rows, block columns) bool.

        Yields:
            (P,) int64, the pixels' positions in the flattened picture; (P, lanes) float32, every
            map's value there, behind the N of them without meaning.
        """
        row, column = np.nonzero(is_open)
        outputs = self._outputs[row], self._field.columns.outputs[column]
        return self._evaluate(np.concatenate(outputs, axis=1))

    def at(self, positions: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Compute single pixels of this strip, given by their positions; as `pixels`."""
        y, x = np.divmod(positions, self._field.hw[1])
        return self._evaluate(np.stack([y, y + 1, x, x + 1], axis=1).astype(np.int32))

    def _evaluate(self, rectangles: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        field, lanes = self._field, self._packed.shape[2]
        areas = (rectangles[:, 1] - rectangles[:, 0]) * (rectangles[:, 3] - rectangles[:, 2])
        ends = areas.cumsum(dtype=np.int64)
        most = max(1, _CHUNK_VALUES // lanes)
        begin = 0
        while begin < len(rectangles):
            done = ends[begin] - areas[begin]
            end = max(begin + 1, int(np.searchsorted(ends, done + most, "right")))
            part = rectangles[begin:end]
            pixels = int(ends[end - 1] - done)
            positions, values = np.empty(pixels, np.int64), np.empty((pixels, lanes), np.float32)
            kernels.evaluate(
                values.reshape(-1),
                part,
                self._packed,
                self._origin,
                *field.rows.before,
                *field.rows.after,
                *field.columns.before,
                *field.columns.after,
                field.activate,
                positions,
                field.hw[1],
            )
            yield positions, values
            begin = end
