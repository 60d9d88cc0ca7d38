"""Which of many maps is the largest, at every pixel of the answer."""

import numpy as np
from numba import types as t

from model.inference.compiled import compiled
from model.inference.postprocess.blocks import MOST_PX, Axis
from model.inference.postprocess.kernels import (
    AXIS,
    FLOAT,
    FLOATS,
    INDEX,
    INTEGERS,
    MAPS,
    ONE,
    PICTURE,
    TABLE,
    bounds,
    evaluate,
    scratch_size,
)


@compiled(t.void(INTEGERS, t.boolean[::1], t.boolean[:, ::1], TABLE, TABLE, FLOATS, t.float32))
def lead(
    leaders: np.ndarray,
    is_contested: np.ndarray,
    is_open: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    weights: np.ndarray,
    threshold: float,
) -> None:
    """Decide the blocks of one block row by their bounds, as far as these go.

    Args:
        leaders: (blocks,), written: the best by its lower bound, the first of equals.
        is_contested: (blocks,), written: whether another one could be larger somewhere.
        is_open: (N, blocks), written: whether a query's pixels must be computed.
        lower: (N, blocks).
        upper: (N, blocks).
        weights: (N,).
        threshold: a query that may lie on both sides of it is open.
    """
    count, blocks = INDEX(len(weights)), INDEX(len(leaders))
    best, rivals = np.empty(blocks, np.float32), np.zeros(blocks, np.int32)
    for b in range(blocks):
        best[b] = lower[0, b] * weights[0]
        leaders[b] = 0
    for n in range(ONE, count):
        for b in range(blocks):
            value = lower[n, b] * weights[n]
            leaders[b] = n if value > best[b] else leaders[b]
            best[b] = max(best[b], value)
    for n in range(count):
        for b in range(blocks):
            rivals[b] += upper[n, b] * weights[n] >= best[b]
    for b in range(blocks):
        is_contested[b] = rivals[b] > 1
    for n in range(count):
        for b in range(blocks):
            is_rival = is_contested[b] & (upper[n, b] * weights[n] >= best[b])
            is_open[n, b] = is_rival | ((lower[n, b] < threshold) & (upper[n, b] >= threshold))


@compiled(t.void(PICTURE, TABLE, INTEGERS, t.boolean[::1], t.int64, t.int64, INTEGERS))
def enthrone(
    owners: np.ndarray,
    best: np.ndarray,
    leaders: np.ndarray,
    is_contested: np.ndarray,
    top: int,
    bottom: int,
    edges: np.ndarray,
) -> None:
    """Give every block of a block row to its leader, for good where it is not contested.

    Args:
        owners: (h, w), written.
        best: (at least bottom - top, w), written: the value that a query must exceed.
        leaders: (blocks,).
        is_contested: (blocks,).
        top: first row.
        bottom: exclusive.
        edges: (blocks + 1,) where blocks begin, and the end.
    """
    first, none, width = INDEX(top), INDEX(0), INDEX(owners.shape[1])
    for b in range(INDEX(len(leaders))):
        record = FLOAT(-np.inf) if is_contested[b] else FLOAT(np.inf)
        for x in range(INDEX(edges[b]), INDEX(edges[b + ONE])):
            owners[first, x] = leaders[b]
            best[none, x] = record
    for y in range(ONE, INDEX(bottom) - first):
        for x in range(width):
            owners[first + y, x] = owners[first, x]
            best[y, x] = best[none, x]


@compiled(
    t.int64(
        PICTURE, TABLE, FLOATS, t.int64, t.float32, t.float32, t.int64, t.int64, t.int64, t.int64
    )
)
def challenge(
    owners: np.ndarray,
    best: np.ndarray,
    values: np.ndarray,
    query: int,
    weight: float,
    threshold: float,
    top: int,
    bottom: int,
    left: int,
    right: int,
) -> int:
    """Let one more query compete for a rectangle of pixels.

    Args:
        owners: (h, w), changed where it wins.
        best: (at least bottom - top, w) the largest weighted value so far, changed likewise.
        values: flat, the query's values there.
        query: its number.
        weight: its weight.
        threshold: inclusive.
        top: first row.
        bottom: exclusive.
        left: first column.
        right: exclusive.

    Returns:
        how many of its values reach `threshold`.
    """
    wide, first, begin = INDEX(right - left), INDEX(left), INDEX(top)
    number, inside = np.int32(query), 0
    for y in range(INDEX(bottom - top)):
        for x in range(wide):
            value = values[y * wide + x]
            inside += value >= threshold
            value *= weight
            is_better = value > best[y, first + x]
            best[y, first + x] = value if is_better else best[y, first + x]
            at = owners[begin + y, first + x]
            owners[begin + y, first + x] = number if is_better else at
    return inside


@compiled(t.void(PICTURE, t.int64[::1], MAPS, INTEGERS, FLOATS, t.float32, AXIS, AXIS, t.boolean))
def contest(
    owners: np.ndarray,
    own_px: np.ndarray,
    maps: np.ndarray,
    queries: np.ndarray,
    weights: np.ndarray,
    threshold: float,
    rows: Axis,
    columns: Axis,
    activate: bool,
) -> None:
    """Give every pixel to the query with the largest weighted value, the first of equals.

    Args:
        owners: (h, w), written: a number in `queries`, counted from 0.
        own_px: (N,), added to: the pixels where each query's value reaches `threshold`.
        maps: (Q, logits height, logits width).
        queries: (N,) which maps take part.
        weights: (N,), not negative.
        threshold: inclusive.
        rows: the way of axis 1.
        columns: the way of axis 2.
        activate: whether a sigmoid is on the way.
    """
    count, blocks = INDEX(len(queries)), INDEX(len(columns.inputs))
    lower, upper = np.empty((count, blocks), np.float32), np.empty((count, blocks), np.float32)
    leaders, is_open = np.empty(blocks, np.int32), np.empty((count, blocks), np.bool_)
    is_contested = np.empty(blocks, np.bool_)
    best = np.empty((MOST_PX, owners.shape[1]), np.float32)
    values = np.empty(best.size, np.float32)
    scratch = np.empty(scratch_size(rows, columns), np.float32)
    for row in range(len(rows.inputs)):
        top, bottom = rows.outputs[row], rows.outputs[row + 1]
        bounds(lower, upper, maps, queries, rows, row, columns, activate)
        lead(leaders, is_contested, is_open, lower, upper, weights, threshold)
        enthrone(owners, best, leaders, is_contested, top, bottom, columns.outputs)
        for n in range(count):
            b = INDEX(0)
            while b < blocks:
                begin = b
                while b < blocks and is_open[n, b]:
                    b += ONE
                left, right = columns.outputs[begin], columns.outputs[b + INDEX(b == begin)]
                if b == begin:
                    own_px[n] += (bottom - top) * (right - left) * (lower[n, b] >= threshold)
                    b += ONE
                    continue
                evaluate(
                    values, maps, queries[n], rows, row, columns, left, right, activate, scratch
                )
                own_px[n] += challenge(
                    owners, best, values, n, weights[n], threshold, top, bottom, left, right
                )
