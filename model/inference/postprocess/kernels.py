"""The compiled inner loops: what is called for every block or pixel that is not decided yet.

Maps lie interleaved here: all maps' values of one pixel side by side, the number of maps rounded up
to `LANES`. So each loop runs over maps, whose number hardly matters, and becomes vector
instructions. Indices are unsigned because signed ones may be negative in NumPy's meaning, a check
that vector loops cannot afford (measured: about 4 times slower).

All functions release the interpreter lock, and are compiled at import or loaded from a cache on
disk; see docs/decisions/0006-post-processing.md.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., None])

LANES = 8  # float32 values in one AVX register

_FLOAT, _INDEX = np.float32, np.uintp
_NEGLIGIBLE = np.float32(1e-10)  # a probability that moves no score
_TAPS = "int32[::1], float32[:, ::1]"


def _compiled(signature: str, *, assume: Iterable[str] = ()) -> Callable[[Function], Function]:
    """Compile for one signature.

    Args:
        signature: of the arguments, in numba's notation.
        assume: LLVM's fast-math flags besides fused multiply-add, which is always allowed.
    """

    def compile_(function: Function, *, cache: bool) -> Function:
        decorate = numba.njit(
            f"void({signature})",
            cache=cache,
            nogil=True,
            error_model="numpy",
            fastmath={"contract", *assume},
        )
        return cast(Function, decorate(function))

    def decorate(function: Function) -> Function:
        try:
            return compile_(function, cache=True)
        except RuntimeError:  # nowhere to write a cache: a read-only installation without a home
            return compile_(function, cache=False)

    return decorate


@_compiled("float32[::1], int64")
def sigmoid_(values: np.ndarray, count: int) -> None:
    """Turn the first `count` logits into probabilities, in place; exact to 1e-7.

    exp(-x) = 2^n * 2^r with n an integer and |r| <= 1/2, whose power is its Taylor polynomial.
    """
    for i in range(_INDEX(count)):
        exponent = values[i] * _FLOAT(-1.4426950408889634)  # log2(e)
        exponent = min(max(exponent, _FLOAT(-126)), _FLOAT(128))  # 2^128 = inf: 0
        whole = np.floor(exponent + _FLOAT(0.5))
        part = exponent - whole
        power = _FLOAT(1.5403530393381609e-4)
        power = power * part + _FLOAT(1.3333558146428443e-3)
        power = power * part + _FLOAT(9.6181291076284772e-3)
        power = power * part + _FLOAT(5.5504108664821580e-2)
        power = power * part + _FLOAT(2.4022650695910071e-1)
        power = power * part + _FLOAT(6.9314718055994531e-1)
        power = power * part + _FLOAT(1)
        scale = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
        values[i] = _FLOAT(1) / (_FLOAT(1) + power * scale)


@_compiled("float32[::1], float32[::1], float32[:, :, ::1], int32[:, ::1], int32[:, ::1], int64")
def extremes(
    lower: np.ndarray,
    upper: np.ndarray,
    packed: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    top: int,
) -> None:
    """Smallest and largest input of every block, per map.

    Args:
        lower: (block rows * block columns * lanes,) float32, written.
        upper: likewise.
        packed: (rows, columns, lanes) inputs.
        rows: (block rows, 2) int32, the inputs that a block row depends on: begin, end.
        columns: (block columns, 2) int32.
        top: the input row that `packed` begins with.
    """
    width, lanes = _INDEX(packed.shape[1]), _INDEX(packed.shape[2])
    inputs = packed.reshape(-1)
    at = _INDEX(0)
    for row in range(len(rows)):
        for column in range(len(columns)):
            begin = (_INDEX(rows[row, 0] - top) * width + _INDEX(columns[column, 0])) * lanes
            for i in range(lanes):
                lower[at + i] = inputs[begin + i]
                upper[at + i] = inputs[begin + i]
            for y in range(_INDEX(rows[row, 0] - top), _INDEX(rows[row, 1] - top)):
                for x in range(_INDEX(columns[column, 0]), _INDEX(columns[column, 1])):
                    begin = (y * width + x) * lanes
                    for i in range(lanes):
                        lower[at + i] = min(lower[at + i], inputs[begin + i])
                        upper[at + i] = max(upper[at + i], inputs[begin + i])
            at += lanes


@_compiled(
    "float32[::1], int64, float32[::1], int64, int64, int64, int64, int64, int64, int64,"
    f"{_TAPS}, {_TAPS}, float32[::1]"
)
def resample_(
    outputs: np.ndarray,
    at: int,
    inputs: np.ndarray,
    origin: int,
    pitch: int,
    top: int,
    bottom: int,
    left: int,
    right: int,
    lanes: int,
    row_first: np.ndarray,
    row_weights: np.ndarray,
    column_first: np.ndarray,
    column_weights: np.ndarray,
    line: np.ndarray,
) -> None:
    """Write one rectangle of resampled maps; first along rows, then along columns.

    Args:
        outputs: flat, written from `at` on: (bottom - top, right - left, lanes).
        at: see there.
        inputs: flat, (rows, columns, lanes).
        origin: where input (0, 0) is or would be in it.
        pitch: from one input row to the next.
        top: with `bottom`, `left` and `right`: which outputs.
        bottom: exclusive.
        left: see there.
        right: exclusive.
        lanes: values per pixel.
        row_first: (outputs,) where each output row begins to read.
        row_weights: (outputs, 1 to 3) of the rows from there on.
        column_first: likewise for columns.
        column_weights: likewise.
        line: scratch for one row of the inputs that the rectangle depends on.
    """
    row_taps, column_taps = row_weights.shape[1], column_weights.shape[1]
    # Missing taps read the first input again, with weight 0.
    down_1, down_2 = pitch * (row_taps > 1), 2 * pitch * (row_taps > 2)
    right_1, right_2 = lanes * (column_taps > 1), 2 * lanes * (column_taps > 2)
    start = column_first[left]
    length = _INDEX((column_first[right - 1] + column_taps - start) * lanes)
    for y in range(top, bottom):
        w0 = row_weights[y, 0]
        w1 = row_weights[y, 1] if row_taps > 1 else _FLOAT(0)
        w2 = row_weights[y, 2] if row_taps > 2 else _FLOAT(0)
        a = _INDEX(origin + row_first[y] * pitch + start * lanes)
        b, c = a + _INDEX(down_1), a + _INDEX(down_2)
        for i in range(length):
            line[i] = w0 * inputs[a + i] + w1 * inputs[b + i] + w2 * inputs[c + i]
        for x in range(left, right):
            w0 = column_weights[x, 0]
            w1 = column_weights[x, 1] if column_taps > 1 else _FLOAT(0)
            w2 = column_weights[x, 2] if column_taps > 2 else _FLOAT(0)
            a = _INDEX((column_first[x] - start) * lanes)
            b, c, d = a + _INDEX(right_1), a + _INDEX(right_2), _INDEX(at)
            for i in range(_INDEX(lanes)):
                outputs[d + i] = w0 * line[a + i] + w1 * line[b + i] + w2 * line[c + i]
            at += lanes


@_compiled(
    f"float32[::1], int32[:, ::1], float32[:, :, ::1], int64, {_TAPS}, {_TAPS}, {_TAPS}, {_TAPS},"
    "boolean, int64[::1], int64"
)
def evaluate(
    values: np.ndarray,
    rectangles: np.ndarray,
    packed: np.ndarray,
    origin: int,
    before_row_first: np.ndarray,
    before_row_weights: np.ndarray,
    after_row_first: np.ndarray,
    after_row_weights: np.ndarray,
    before_column_first: np.ndarray,
    before_column_weights: np.ndarray,
    after_column_first: np.ndarray,
    after_column_weights: np.ndarray,
    activate: bool,
    positions: np.ndarray,
    width: int,
) -> None:
    """Resample, take the sigmoid, resample again: all pixels of some rectangles.

    Args:
        values: flat, written: lanes per pixel, rectangle after rectangle, row by row.
        rectangles: (R, 4) int32: top, bottom, left, right in outputs.
        packed: (rows, columns, lanes) inputs.
        origin: the input row that `packed` begins with.
        before_row_first: the taps before the sigmoid; see `resample_`.
        before_row_weights: likewise.
        after_row_first: the taps after the sigmoid.
        after_row_weights: likewise.
        before_column_first: likewise.
        before_column_weights: likewise.
        after_column_first: likewise.
        after_column_weights: likewise.
        activate: whether to take the sigmoid.
        positions: (P,) int64, written: where each pixel is in the flattened picture.
        width: of the picture.
    """
    row_taps, column_taps = after_row_weights.shape[1], after_column_weights.shape[1]
    tall = wide = 0
    for r in range(len(rectangles)):
        top, bottom, left, right = rectangles[r]
        tall = max(tall, after_row_first[bottom - 1] + row_taps - after_row_first[top])
        a, b = after_column_first[left], after_column_first[right - 1] + column_taps
        wide = max(wide, b - a)
        wide = max(
            wide,
            before_column_first[b - 1] + before_column_weights.shape[1] - before_column_first[a],
        )
    lanes = packed.shape[2]
    pitch = packed.shape[1] * lanes
    middle = np.empty(tall * wide * lanes, np.float32)
    line = np.empty(wide * lanes, np.float32)
    at = pixel = 0
    for r in range(len(rectangles)):
        top, bottom, left, right = rectangles[r]
        y0, y1 = after_row_first[top], after_row_first[bottom - 1] + row_taps
        x0, x1 = after_column_first[left], after_column_first[right - 1] + column_taps
        resample_(
            middle, 0, packed.reshape(-1), -origin * pitch, pitch, y0, y1, x0, x1, lanes,
            before_row_first, before_row_weights, before_column_first, before_column_weights, line,
        )  # fmt: skip
        if activate:
            sigmoid_(middle, (y1 - y0) * (x1 - x0) * lanes)
        between = (x1 - x0) * lanes
        resample_(
            values, at, middle, -y0 * between - x0 * lanes, between, top, bottom, left, right,
            lanes, after_row_first, after_row_weights, after_column_first, after_column_weights,
            line,
        )  # fmt: skip
        at += (bottom - top) * (right - left) * lanes
        for y in range(top, bottom):
            for x in range(left, right):
                positions[pixel] = y * width + x
                pixel += 1


@_compiled("float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], int32[::1]")
def compare(
    gains: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    weights: np.ndarray,
    leaders: np.ndarray,
) -> None:
    """How far ahead of a leader every class may be.

    Two classes are compared by what each map gives one more than the other, which is far tighter
    than the bounds of two scores.

    Args:
        gains: (P, K), written: largest possible score minus the leader's.
        lower: (P, N) least values.
        upper: (P, N) largest values.
        weights: (N, K).
        leaders: (P,) class.
    """
    classes = _INDEX(weights.shape[1])
    for p in range(_INDEX(len(gains))):
        leader = _INDEX(leaders[p])
        for k in range(classes):
            gains[p, k] = 0
        for n in range(_INDEX(len(weights))):
            low, high = lower[p, n], upper[p, n]
            if high > _NEGLIGIBLE:
                own = weights[n, leader]
                for k in range(classes):
                    more = weights[n, k] - own
                    gains[p, k] += more * (high if more > 0 else low)


@_compiled(
    "int32[::1], boolean[::1], float32[:, ::1], float32[::1], float32[::1]",
    assume=("nnan", "nsz", "reassoc"),
)
def lead(
    leaders: np.ndarray,
    is_sure: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    reserves: np.ndarray,
) -> None:
    """Find the largest weighted value of every pixel, the first of equals.

    Args:
        leaders: (P,) int32, written.
        is_sure: (P,) bool, written: no other value reaches the largest with its reserve.
        values: (P, lanes).
        weights: (N,) of the first N lanes; the others do not take part.
        reserves: (N,) what each value may still gain.
    """
    count = _INDEX(len(weights))
    for p in range(_INDEX(len(leaders))):
        best = values[p, 0] * weights[0]
        for n in range(_INDEX(1), count):
            value = values[p, n] * weights[n]
            best = value if value > best else best
        rivals = 0
        for n in range(count):
            rivals += values[p, n] * weights[n] + reserves[n] > best
        leader = _INDEX(0)
        while leader < count - _INDEX(1) and values[p, leader] * weights[leader] < best:
            leader += _INDEX(1)
        leaders[p] = leader
        is_sure[p] = rivals == (best + reserves[leader] > best)


@_compiled("int64[::1], float64[::1], float32[:, ::1], float32")
def tally(counts: np.ndarray, sums: np.ndarray, values: np.ndarray, threshold: float) -> None:
    """Count and sum each map's values that reach a threshold, onto what is there.

    Args:
        counts: (N,) int64.
        sums: (N,) float64.
        values: (P, lanes).
        threshold: inclusive.
    """
    for p in range(len(values)):
        for n in range(_INDEX(len(counts))):
            inside = values[p, n] >= threshold
            counts[n] += inside
            sums[n] += values[p, n] if inside else _FLOAT(0)
