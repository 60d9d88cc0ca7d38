"""The compiled loops that all modes share: bounds of blocks, and their pixels.

All work on one block row at a time, so that memory is bounded by the width of a picture, and run
along pixels of a row, so that they become vector instructions. Indices are unsigned because signed
ones may be negative in NumPy's meaning, a check that vector loops cannot afford.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from numba import types as t

from model.inference.compiled import compiled
from model.inference.postprocess.blocks import SPAN, Axis

# For the compiler these are what NumPy says; for the type checker plain numbers.
FLOAT, INDEX = cast(Callable[[float], float], np.float32), cast(Callable[[int], int], np.uintp)
ONE, TWO, THREE = INDEX(1), INDEX(2), INDEX(3)
FLOATS, TABLE, MAPS = t.float32[::1], t.float32[:, ::1], t.Array(t.float32, 3, "C", readonly=True)
INTEGERS, PICTURE = t.int32[::1], t.int32[:, ::1]
_FIELDS = INTEGERS, INTEGERS, PICTURE, TABLE, PICTURE, TABLE, t.boolean, t.int64
AXIS = t.NamedTuple(_FIELDS, Axis)  # type: ignore[no-untyped-call]
_ROUNDING = FLOAT(1e-4)  # relative; far above the rounding of a few sums of float32


@compiled(t.void(FLOATS, t.int64))
def sigmoid_(values: np.ndarray, count: int) -> None:
    """Turn the first `count` logits into probabilities, in place; exact to 1e-7.

    exp(-x) = 2^n * 2^r with n an integer and |r| <= 1/2, whose power is its Taylor polynomial.
    """
    for i in range(INDEX(count)):
        exponent = values[i] * FLOAT(-1.4426950408889634)  # log2(e)
        exponent = min(max(exponent, FLOAT(-126)), FLOAT(128))  # 2^128 = inf: 0
        whole = np.floor(exponent + FLOAT(0.5))
        part = exponent - whole
        power = FLOAT(1.5403530393381609e-4)
        power = power * part + FLOAT(1.3333558146428443e-3)
        power = power * part + FLOAT(9.6181291076284772e-3)
        power = power * part + FLOAT(5.5504108664821580e-2)
        power = power * part + FLOAT(2.4022650695910071e-1)
        power = power * part + FLOAT(6.9314718055994531e-1)
        power = power * part + FLOAT(1)
        scale = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
        values[i] = FLOAT(1) / (FLOAT(1) + power * scale)


@compiled(t.void(TABLE, TABLE, MAPS, INTEGERS, AXIS, t.int64, AXIS, t.boolean))
def bounds(
    lower: np.ndarray,
    upper: np.ndarray,
    maps: np.ndarray,
    queries: np.ndarray,
    rows: Axis,
    row: int,
    columns: Axis,
    activate: bool,
) -> None:
    """Least and largest value that each query may have in each block of one block row.

    Args:
        lower: (N, block columns), written.
        upper: likewise.
        maps: (Q, logits height, logits width).
        queries: (N,) which maps.
        rows: the way of axis 1.
        row: which block row.
        columns: the way of axis 2.
        activate: whether a sigmoid is on the way.
    """
    width, first = INDEX(maps.shape[2]), INDEX(rows.inputs[row])
    end = min(first + INDEX(SPAN), INDEX(maps.shape[1]))
    low, high = np.empty(width + THREE, np.float32), np.empty(width + THREE, np.float32)
    for n in range(INDEX(len(queries))):
        q = INDEX(queries[n])
        for x in range(width):
            low[x] = maps[q, first, x]
            high[x] = low[x]
        for y in range(first + ONE, end):
            for x in range(width):
                low[x] = min(low[x], maps[q, y, x])
                high[x] = max(high[x], maps[q, y, x])
        for x in range(width, width + THREE):
            low[x] = low[width - ONE]
            high[x] = high[width - ONE]
        for x in range(width):
            low[x] = min(min(low[x], low[x + ONE]), min(low[x + TWO], low[x + THREE]))
            high[x] = max(max(high[x], high[x + ONE]), max(high[x + TWO], high[x + THREE]))
        for b in range(INDEX(len(columns.inputs))):
            lower[n, b] = low[INDEX(columns.inputs[b])]
            upper[n, b] = high[INDEX(columns.inputs[b])]
    lowest, highest = lower.reshape(-1), upper.reshape(-1)
    if activate:
        sigmoid_(lowest, lower.size)
        sigmoid_(highest, upper.size)
    for i in range(INDEX(lower.size)):
        lowest[i] -= _ROUNDING * abs(lowest[i])
        highest[i] += _ROUNDING * abs(highest[i])


@compiled(t.void(FLOATS, MAPS, t.int64, t.int64, t.int64, PICTURE, TABLE, t.int64, t.int64))
def stretch(
    lines: np.ndarray,
    maps: np.ndarray,
    query: int,
    begin: int,
    end: int,
    columns: np.ndarray,
    weights: np.ndarray,
    left: int,
    right: int,
) -> None:
    """Resample some rows of one map along columns.

    Args:
        lines: flat, written: (end - begin, right - left).
        maps: (Q, logits height, logits width).
        query: which map.
        begin: first row of logits.
        end: exclusive.
        columns: (T, outputs) which logits each output reads, see `Axis`.
        weights: (T, outputs).
        left: first output.
        right: exclusive.
    """
    n, first, wide = INDEX(query), INDEX(left), INDEX(right - left)
    for y in range(INDEX(begin), INDEX(end)):
        at = (y - INDEX(begin)) * wide
        for x in range(wide):
            total = weights[0, first + x] * maps[n, y, INDEX(columns[0, first + x])]
            total += weights[1, first + x] * maps[n, y, INDEX(columns[1, first + x])]
            lines[at + x] = total
        for x in range(wide if len(columns) > TWO else INDEX(0)):
            total = weights[2, first + x] * maps[n, y, INDEX(columns[2, first + x])]
            lines[at + x] += total


@compiled(t.void(FLOATS, FLOATS, t.int64, PICTURE, TABLE, t.int64, t.int64, t.int64))
def mix(
    outputs: np.ndarray,
    lines: np.ndarray,
    width: int,
    rows: np.ndarray,
    weights: np.ndarray,
    top: int,
    bottom: int,
    origin: int,
) -> None:
    """Resample whole lines along rows.

    Args:
        outputs: flat, written: (bottom - top, width).
        lines: flat: (rows, width).
        width: of a line.
        rows: (T, outputs) which lines each output reads, see `Axis`.
        weights: (T, outputs).
        top: first output.
        bottom: exclusive.
        origin: the row that is first in `lines`.
    """
    last, wide = len(rows) - 1, INDEX(width)
    for y in range(INDEX(top), INDEX(bottom)):
        at, wa, wb = (y - INDEX(top)) * wide, weights[0, y], weights[1, y]
        a, b = INDEX(rows[0, y] - origin) * wide, INDEX(rows[1, y] - origin) * wide
        c, wc = INDEX(rows[last, y] - origin) * wide, weights[2, y] if last > 1 else FLOAT(0)
        for x in range(wide):
            outputs[at + x] = wa * lines[a + x] + wb * lines[b + x] + wc * lines[c + x]


@compiled(
    t.void(
        FLOATS, FLOATS, t.int64, t.int64, t.int64, PICTURE, TABLE, t.int64, t.int64,
        PICTURE, TABLE, t.int64, t.int64, FLOATS,
    )
)  # fmt: skip
def resample(
    outputs: np.ndarray,
    inputs: np.ndarray,
    pitch: int,
    y0: int,
    x0: int,
    rows: np.ndarray,
    row_weights: np.ndarray,
    top: int,
    bottom: int,
    columns: np.ndarray,
    column_weights: np.ndarray,
    left: int,
    right: int,
    line: np.ndarray,
) -> None:
    """Resample a rectangle, first along rows, then along columns.

    Args:
        outputs: flat, written: (bottom - top, right - left).
        inputs: flat, lines of `pitch`.
        pitch: of `inputs`.
        y0: the row that `inputs` begins with.
        x0: the column, likewise.
        rows: (T, outputs) which input rows each output row reads, see `Axis`.
        row_weights: (T, outputs).
        top: with `bottom`, `left` and `right`: which outputs.
        bottom: exclusive.
        columns: likewise.
        column_weights: likewise.
        left: see there.
        right: exclusive.
        line: scratch for one row of inputs.
    """
    wide, first, origin, last = INDEX(right - left), INDEX(left), INDEX(x0), len(columns) - 1
    for y in range(INDEX(top), INDEX(bottom)):
        mix(line, inputs, pitch, rows, row_weights, y, y + ONE, y0)
        at = (y - INDEX(top)) * wide
        for x in range(wide):
            total = column_weights[0, first + x] * line[INDEX(columns[0, first + x]) - origin]
            total += column_weights[1, first + x] * line[INDEX(columns[1, first + x]) - origin]
            outputs[at + x] = total
        for x in range(wide if last > 1 else INDEX(0)):
            total = column_weights[2, first + x] * line[INDEX(columns[2, first + x]) - origin]
            outputs[at + x] += total


@compiled(t.int64(AXIS, AXIS))
def scratch_size(rows: Axis, columns: Axis) -> int:
    """Values that `evaluate` needs to work with, for up to one whole block row."""
    middles: int = columns.before.shape[1]
    most: int = rows.most_middles
    return (SPAN + most) * middles


@compiled(
    t.void(
        FLOATS, MAPS, t.int64, AXIS, t.int64, AXIS, t.int64, t.int64, t.boolean, FLOATS
    )
)  # fmt: skip
def evaluate(
    values: np.ndarray,
    maps: np.ndarray,
    query: int,
    rows: Axis,
    row: int,
    columns: Axis,
    left: int,
    right: int,
    activate: bool,
    scratch: np.ndarray,
) -> None:
    """Resample, take the sigmoid, resample again: one query's pixels of some blocks of a row.

    Logits are enlarged along columns first: that reads them scattered, and they are few.

    Args:
        values: flat, written: (height of the block row, right - left).
        maps: (Q, logits height, logits width).
        query: which map.
        rows: the way of axis 1.
        row: which block row.
        columns: the way of axis 2.
        left: first answer column.
        right: exclusive.
        activate: whether to take the sigmoid.
        scratch: of `scratch_size`.
    """
    top, bottom = rows.outputs[row], rows.outputs[row + 1]
    y0, y1 = rows.after[0, top], rows.after[-1, bottom - 1] + 1
    x0, x1 = columns.after[0, left], columns.after[-1, right - 1] + 1
    begin, end, wide = rows.before[0, y0], rows.before[-1, y1 - 1] + 1, x1 - x0
    stretch(scratch, maps, query, begin, end, columns.before, columns.before_weights, x0, x1)
    if rows.is_direct and columns.is_direct:
        mix(values, scratch, wide, rows.before, rows.before_weights, y0, y1, begin)
        if activate:
            sigmoid_(values, (y1 - y0) * wide)
        return
    middles, line = scratch[SPAN * columns.before.shape[1] :], scratch
    mix(middles, scratch, wide, rows.before, rows.before_weights, y0, y1, begin)
    if activate:
        sigmoid_(middles, (y1 - y0) * wide)
    resample(
        values, middles, wide, y0, x0, rows.after, rows.after_weights, top, bottom,
        columns.after, columns.after_weights, left, right, line,
    )  # fmt: skip


@compiled(t.void(PICTURE, t.int64, t.int64, t.int64, t.int64, t.int64))
def fill(picture: np.ndarray, value: int, top: int, bottom: int, left: int, right: int) -> None:
    """Write one value to a rectangle of an int32 picture."""
    number = np.int32(value)
    for y in range(top, bottom):
        for x in range(INDEX(left), INDEX(right)):
            picture[y, x] = number
