"""Many overlapping masks of one picture: one bit per mask in a word per pixel."""

import numpy as np
from numba import types as t

from model.inference.compiled import compiled
from model.inference.postprocess.blocks import MOST_PX, Axis
from model.inference.postprocess.kernels import (
    AXIS,
    FLOAT,
    INDEX,
    INTEGERS,
    MAPS,
    ONE,
    PICTURE,
    bounds,
    evaluate,
    scratch_size,
)

BITS = 32  # masks at once

_WORDS = t.uint32[:, ::1]
_COUNTS, _SUMS = t.int64[::1], t.float64[::1]


@compiled(
    t.UniTuple(t.float64, 2)(  # type: ignore[no-untyped-call]
        _WORDS, t.float32[::1], t.int64, t.float32, t.int64, t.int64, t.int64, t.int64
    )
)
def set_bit(
    words: np.ndarray,
    values: np.ndarray,
    bit: int,
    least: float,
    top: int,
    bottom: int,
    left: int,
    right: int,
) -> tuple[float, float]:
    """Set one bit where the values of a rectangle reach `least`; their number and their sum."""
    mask, wide = np.uint32(1) << np.uint32(bit), INDEX(right - left)
    first, begin, area_px, total = INDEX(left), INDEX(top), 0.0, 0.0
    for y in range(INDEX(bottom - top)):
        inside, line = FLOAT(0), FLOAT(0)
        for x in range(wide):
            value = values[y * wide + x]
            is_in = value >= least
            inside += FLOAT(1) if is_in else FLOAT(0)
            line += value if is_in else FLOAT(0)
            words[begin + y, first + x] |= mask if is_in else np.uint32(0)
        area_px += inside
        total += line
    return area_px, total


@compiled(t.void(_WORDS, _COUNTS, _SUMS, MAPS, INTEGERS, t.float32, AXIS, AXIS))
def fill_words(
    words: np.ndarray,
    areas_px: np.ndarray,
    sums: np.ndarray,
    maps: np.ndarray,
    queries: np.ndarray,
    least: float,
    rows: Axis,
    columns: Axis,
) -> None:
    """Find where each query's probability reaches `least`.

    Args:
        words: (h, w) uint32, zeros; bit n is set inside the mask of the n-th query.
        areas_px: (N,), added to: pixels of each mask.
        sums: (N,), added to: the probabilities inside it.
        maps: (Q, logits height, logits width) mask logits.
        queries: (N,) which maps, at most `BITS`.
        least: inclusive.
        rows: the way of axis 1.
        columns: the way of axis 2.
    """
    count, blocks = INDEX(len(queries)), INDEX(len(columns.inputs))
    lower, upper = np.empty((count, blocks), np.float32), np.empty((count, blocks), np.float32)
    values = np.empty(MOST_PX * words.shape[1], np.float32)
    scratch = np.empty(scratch_size(rows, columns), np.float32)
    for row in range(len(rows.inputs)):
        top, bottom = rows.outputs[row], rows.outputs[row + 1]
        bounds(lower, upper, maps, queries, rows, row, columns, True)
        for n in range(count):
            b = INDEX(0)
            while b < blocks:
                begin = b
                while b < blocks and upper[n, b] >= least:
                    b += ONE
                if b == begin:
                    b += ONE
                    continue
                left, right = columns.outputs[begin], columns.outputs[b]
                evaluate(values, maps, queries[n], rows, row, columns, left, right, True, scratch)
                area_px, total = set_bit(words, values, n, least, top, bottom, left, right)
                areas_px[n] += area_px
                sums[n] += total


@compiled(t.int64(_COUNTS, t.uint32[::1], _WORDS))
def find_runs(starts: np.ndarray, of_runs: np.ndarray, words: np.ndarray) -> int:
    """Runs of equal words, column by column.

    Args:
        starts: (R,) int64, written: where each run begins; none are written where R is 0.
        of_runs: (R,) uint32, written: its word.
        words: (h, w).

    Returns:
        the number of runs.
    """
    height, count, before = INDEX(words.shape[0]), 0, ~words[0, 0]
    for x in range(INDEX(words.shape[1])):
        for y in range(height):
            word = words[y, x]
            if word != before:
                if count < len(starts):
                    starts[INDEX(count)] = x * height + y
                    of_runs[INDEX(count)] = word
                count += 1
                before = word
    return count


@compiled(t.void(PICTURE, _COUNTS, t.uint32[::1], INTEGERS))
def paint_runs(
    id_map: np.ndarray, starts: np.ndarray, of_runs: np.ndarray, ids: np.ndarray
) -> None:
    """Give every pixel the lowest id of the masks that it lies in, and of what it has already.

    Args:
        id_map: (h, w), changed; 0 = none.
        starts: see `find_runs`.
        of_runs: there.
        ids: (`BITS`,) of each bit; 0 where a mask is not to be painted.
    """
    height, none = id_map.shape[0], np.int32(2**31 - 1)
    x, y = INDEX(0), INDEX(0)
    for run in range(len(starts)):
        id_ = none
        for bit in range(INDEX(len(ids))):
            if (of_runs[run] >> np.uint32(bit)) & np.uint32(1) and ids[bit] > 0:
                id_ = min(id_, ids[bit])
        end = starts[run + 1] if run + 1 < len(starts) else id_map.size
        for _ in range(end - starts[run]):
            if id_ < none and (id_map[y, x] == 0 or id_ < id_map[y, x]):
                id_map[y, x] = id_
            y += ONE
            if y == INDEX(height):
                x, y = x + ONE, INDEX(0)
