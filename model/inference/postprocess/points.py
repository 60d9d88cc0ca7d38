"""Values of all maps at single pixels, for where bounds and blocks leave few of them open."""

import numpy as np
from numba import types as t

from model.inference.compiled import compiled
from model.inference.postprocess.blocks import MOST_PX, Axis
from model.inference.postprocess.kernels import (
    AXIS,
    FLOAT,
    FLOATS,
    INDEX,
    MAPS,
    ONE,
    PICTURE,
    TABLE,
    evaluate,
    scratch_size,
    sigmoid_,
)

_POINT = 10  # cost of a pixel alone, in pixels of a block row (measured)


@compiled(
    t.int64(
        t.int64[::1], FLOATS, t.int64, PICTURE, TABLE, t.int64, PICTURE, TABLE, t.int64, t.int64
    )
)  # fmt: skip
def list_taps(
    offsets: np.ndarray,
    weights: np.ndarray,
    count: int,
    rows: np.ndarray,
    row_weights: np.ndarray,
    y: int,
    columns: np.ndarray,
    column_weights: np.ndarray,
    x: int,
    pitch: int,
) -> int:
    """Add the inputs that one output is the weighted sum of, in both directions together.

    Args:
        offsets: written from `count` on: where in the flattened inputs.
        weights: likewise.
        count: how many are there already.
        rows: (T, outputs) with `row_weights`, see `Axis`.
        row_weights: there.
        y: which output.
        columns: likewise.
        column_weights: likewise.
        x: likewise.
        pitch: inputs per row.

    Returns:
        how many there are now.
    """
    for j in range(len(rows)):
        for i in range(len(columns)):
            weight = row_weights[j, y] * column_weights[i, x]
            if weight != FLOAT(0):
                offsets[INDEX(count)] = rows[j, y] * pitch + columns[i, x]
                weights[INDEX(count)] = weight
                count += 1
    return count


@compiled(t.void(FLOATS, MAPS, AXIS, t.int64, AXIS, t.int64, t.boolean, FLOATS))
def values_of_pixel(
    values: np.ndarray,
    maps: np.ndarray,
    rows: Axis,
    y: int,
    columns: Axis,
    x: int,
    activate: bool,
    scratch: np.ndarray,
) -> None:
    """All maps' values at one pixel.

    Args:
        values: (Q,), written.
        maps: (Q, logits height, logits width).
        rows: the way of axis 1.
        y: the pixel's row.
        columns: the way of axis 2.
        x: its column.
        activate: whether to take the sigmoid.
        scratch: (at least 9 * Q,).
    """
    y0, y1 = rows.after[0, y], rows.after[-1, y] + 1
    x0, x1 = columns.after[0, x], columns.after[-1, x] + 1
    width, wide = maps.shape[2], x1 - x0
    offsets, weights = np.empty(90, np.int64), np.empty(90, np.float32)
    ends = np.empty(10, np.int64)  # of 9 middles, and of the pixel, each of at most 9 inputs
    middles = count = 0
    for v in range(y0, y1):
        for u in range(x0, x1):
            count = list_taps(
                offsets, weights, count, rows.before, rows.before_weights, v,
                columns.before, columns.before_weights, u, width,
            )  # fmt: skip
            ends[middles] = count
            middles += 1
    end = list_taps(
        offsets, weights, count, rows.after, rows.after_weights, y,
        columns.after, columns.after_weights, x, wide,
    )  # fmt: skip
    logits, plane, size = maps.reshape(-1), INDEX(maps.shape[1] * width), INDEX(middles)
    for n in range(INDEX(len(values))):
        tap = INDEX(0)
        for middle in range(size):
            logit = FLOAT(0)
            while tap < INDEX(ends[middle]):
                logit += weights[tap] * logits[n * plane + INDEX(offsets[tap])]
                tap += ONE
            scratch[n * size + middle] = logit
    if activate:
        sigmoid_(scratch, middles * len(values))
    for n in range(INDEX(len(values))):
        values[n] = FLOAT(0)
        for tap in range(INDEX(count), INDEX(end)):
            middle = INDEX(offsets[tap] - y0 * wide - x0)
            values[n] += weights[tap] * scratch[n * size + middle]


@compiled(t.void(TABLE, t.int64[::1], MAPS, AXIS, AXIS, t.boolean))
def values_at(
    values: np.ndarray,
    positions: np.ndarray,
    maps: np.ndarray,
    rows: Axis,
    columns: Axis,
    activate: bool,
) -> None:
    """All maps' values at some pixels.

    Args:
        values: (Q, P), written.
        positions: (P,) ascending, in the flattened answer.
        maps: (Q, logits height, logits width).
        rows: the way of axis 1.
        columns: the way of axis 2.
        activate: whether to take the sigmoid.
    """
    queries, width, row = len(maps), columns.after.shape[1], 0
    of_pixel = np.empty(queries, np.float32)
    scratch = np.empty(max(9 * queries, scratch_size(rows, columns)), np.float32)
    block_row, places = np.empty(MOST_PX * width, np.float32), np.empty(MOST_PX * width, np.int64)
    begin, count = 0, len(positions)
    while begin < count:
        while rows.outputs[row + 1] * width <= positions[begin]:
            row += 1
        top, bottom = rows.outputs[row], rows.outputs[row + 1]
        end, left, right = begin, width, 0
        while end < count and positions[end] < bottom * width:
            left, right = min(left, positions[end] % width), max(right, positions[end] % width + 1)
            end += 1
        is_dense = _POINT * (end - begin) >= (bottom - top) * (right - left)
        for p in range(begin, end):
            y, x = positions[p] // width - top, positions[p] % width - left
            places[p - begin] = y * (right - left) + x
        for n in range(queries if is_dense else 0):
            evaluate(block_row, maps, n, rows, row, columns, left, right, activate, scratch)
            for p in range(INDEX(end - begin)):
                values[n, INDEX(begin) + p] = block_row[INDEX(places[p])]
        for p in range(end if is_dense else begin, end):
            y, x = positions[p] // width, positions[p] % width
            values_of_pixel(of_pixel, maps, rows, y, columns, x, activate, scratch)
            for n in range(queries):
                values[n, p] = of_pixel[n]
        begin = end
