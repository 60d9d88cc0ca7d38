"""Which class scores best, at every pixel of the answer."""

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
    THREE,
    TWO,
    bounds,
    evaluate,
    fill,
    scratch_size,
)

_LONGEST = 8  # blocks that are settled at once: their scores stay in a core's own cache
_MOST_ACTIVE = 48  # queries of an arena from which one large matrix product costs less
_FLAGS = t.boolean[::1]
_FOUR = INDEX(4)


@compiled(t.void(FLOATS, t.float32, t.int64, TABLE, FLOATS, t.int64))
def combine(
    scores: np.ndarray,
    base: float,
    pixels: int,
    values: np.ndarray,
    weights: np.ndarray,
    count: int,
) -> None:
    """One class's scores: weighted sums of a few queries' values, four at a time.

    Args:
        scores: (at least pixels,), written.
        base: to begin with.
        pixels: how many.
        values: (at least count, at least pixels).
        weights: (at least count,).
        count: how many queries.
    """
    for p in range(INDEX(pixels)):
        scores[p] = base
    n, end = INDEX(0), INDEX(count)
    while n + THREE < end:
        w0, w1, w2, w3 = weights[n], weights[n + ONE], weights[n + TWO], weights[n + THREE]
        for p in range(INDEX(pixels)):
            first = w0 * values[n, p] + w1 * values[n + ONE, p]
            scores[p] += first + (w2 * values[n + TWO, p] + w3 * values[n + THREE, p])
        n += _FOUR
    while n < end:
        for p in range(INDEX(pixels)):
            scores[p] += weights[n] * values[n, p]
        n += ONE


@compiled(t.void(FLOATS, INTEGERS, t.int64, FLOATS, t.int64))
def improve(
    best: np.ndarray, who: np.ndarray, number: int, scores: np.ndarray, pixels: int
) -> None:
    """Let one more class compete; the lower number wins a tie."""
    name = np.int32(number)
    for p in range(INDEX(pixels)):
        score = scores[p]
        is_better = (score > best[p]) | ((score == best[p]) & (name < who[p]))
        best[p] = score if is_better else best[p]
        who[p] = name if is_better else who[p]


@compiled(t.void(INTEGERS, TABLE, TABLE, TABLE, TABLE))
def lead_classes(
    leaders: np.ndarray,
    own: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Choose each block's most likely class, by the middle of the bounds; never the last class.

    Args:
        leaders: (blocks,), written.
        own: (N, blocks), written: each query's probability of the block's leader.
        lower: (N, blocks) mask probabilities of one block row.
        upper: (N, blocks).
        weights: (N, classes) class probabilities.
    """
    blocks = INDEX(len(leaders))
    scores, best = np.empty(blocks, np.float32), np.empty(blocks, np.float32)
    best[:] = -1
    for k in range(INDEX(weights.shape[1]) - ONE):
        scores[:] = 0
        for n in range(INDEX(len(weights))):
            for b in range(blocks):
                scores[b] += weights[n, k] * (lower[n, b] + upper[n, b])
        for b in range(blocks):
            leaders[b] = k if scores[b] > best[b] else leaders[b]
            best[b] = max(scores[b], best[b])
    for n in range(INDEX(len(weights))):
        for b in range(blocks):
            own[n, b] = weights[n, INDEX(leaders[b])]


@compiled(t.void(t.boolean[:, ::1], _FLAGS, INTEGERS, TABLE, TABLE, TABLE, TABLE, FLOATS))
def find_rivals(
    is_rival: np.ndarray,
    is_contested: np.ndarray,
    leaders: np.ndarray,
    own: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    weights: np.ndarray,
    reserves: np.ndarray,
) -> None:
    """Find what else could lead in each block.

    Two classes are compared by what each query gives one more than the other, which is far tighter
    than the bounds of two scores.

    Args:
        is_rival: (classes, blocks), written: whether a class could lead somewhere.
        is_contested: (blocks,), written: whether another class than the leader could.
        leaders: see `lead_classes`, as the next four.
        own: there.
        lower: there.
        upper: there.
        weights: there.
        reserves: (classes,) what a class may gain on another by queries that are not here.
    """
    blocks, gains = INDEX(len(leaders)), np.empty(len(leaders), np.float32)
    is_contested[:] = False
    for k in range(INDEX(len(reserves))):
        gains[:] = reserves[k]
        for n in range(INDEX(len(weights))):
            for b in range(blocks):
                more = weights[n, k] - own[n, b]
                gains[b] += max(more * lower[n, b], more * upper[n, b])
        for b in range(blocks):
            is_leader = leaders[b] == np.int32(k)
            is_rival[k, b] = (gains[b] >= 0) | is_leader
            is_contested[b] |= is_rival[k, b] & (not is_leader)


@compiled(
    t.int64(
        INTEGERS, FLOATS, TABLE, TABLE, t.boolean[:, ::1], TABLE, FLOATS, t.float32,
        t.int64, t.int64,
    )
)  # fmt: skip
def weigh(
    active: np.ndarray,
    base: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    is_rival: np.ndarray,
    weights: np.ndarray,
    most: np.ndarray,
    still: float,
    begin: int,
    end: int,
) -> int:
    """What is known of the scores in blocks begin..end before any pixel is computed.

    Args:
        active: (N,), written: the queries whose pixels must be computed.
        base: (classes + 1,), written: what the others give each class; last, how much two classes'
            difference may be off by that.
        lower: (N, blocks) mask probabilities.
        upper: (N, blocks).
        is_rival: (classes, blocks).
        weights: (N, classes) class probabilities.
        most: (classes,), changed: has each class's reserve; written: the largest score that it may
            have, or -1 where it is no rival.
        still: a query whose contribution varies by less counts as constant.
        begin: first block.
        end: exclusive.

    Returns:
        the number of active queries.
    """
    classes, count = INDEX(len(most)), 0
    base[:] = 0
    for n in range(INDEX(len(weights))):
        low, high, peak = lower[n, begin], upper[n, begin], FLOAT(0)
        for b in range(INDEX(begin) + ONE, INDEX(end)):
            low, high = min(low, lower[n, b]), max(high, upper[n, b])
        for k in range(classes):
            peak = max(peak, weights[n, k])
        change = (high - low) * peak
        if change > still:
            active[count] = n
            count += 1
            for k in range(classes):
                most[k] += weights[n, k] * high
        else:
            middle = (low + high) * FLOAT(0.5)
            base[classes] += change * FLOAT(0.5)
            for k in range(classes):
                base[k] += weights[n, k] * middle
    for k in range(classes):
        most[k] += base[k] + base[classes]
        is_any = False
        for b in range(INDEX(begin), INDEX(end)):
            is_any |= is_rival[k, b]
        most[k] = most[k] if is_any else FLOAT(-1)
    return count


@compiled(
    t.int64(
        FLOATS, INTEGERS, TABLE, INTEGERS, FLOATS, FLOATS, TABLE, TABLE, INTEGERS, FLOATS,
        t.int64, t.int64,
    )
)  # fmt: skip
def compete(
    best: np.ndarray,
    who: np.ndarray,
    scores: np.ndarray,
    rivals: np.ndarray,
    most: np.ndarray,
    base: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    active: np.ndarray,
    some: np.ndarray,
    count: int,
    pixels: int,
) -> int:
    """Score the classes that may still lead, the most promising first.

    Args:
        best: (at least pixels,), written: each pixel's best score.
        who: likewise: its class.
        scores: (classes, at least pixels), written: by the order of `rivals`.
        rivals: (classes,), written: which classes were scored.
        most: (classes,), changed: see `weigh`.
        base: see `weigh`.
        values: (at least count, at least pixels) mask probabilities of the active queries.
        weights: (N, classes).
        active: the active queries.
        some: scratch (N,).
        count: how many are active.
        pixels: how many.

    Returns:
        how many classes were scored; no other one can lead.
    """
    best[:pixels] = -1
    who[:pixels] = 0
    floor, taken = FLOAT(-1), 0
    while True:
        k = INDEX(0)
        for other in range(INDEX(len(most))):
            k = other if most[other] > most[k] else k
        if most[k] < floor or most[k] < 0:
            return taken
        most[k] = FLOAT(-1)
        for i in range(count):
            some[i] = weights[INDEX(active[i]), k]
        combine(scores[taken], base[k], pixels, values, some, count)
        improve(best, who, k, scores[taken], pixels)
        rivals[taken] = k
        taken += 1
        floor = best[0]
        for p in range(INDEX(pixels)):
            floor = min(floor, best[p])


@compiled(t.void(_FLAGS, FLOATS, INTEGERS, TABLE, INTEGERS, t.int64, FLOATS, t.float32, t.int64))
def doubt(
    is_sure: np.ndarray,
    best: np.ndarray,
    who: np.ndarray,
    scores: np.ndarray,
    rivals: np.ndarray,
    taken: int,
    reserves: np.ndarray,
    slack: float,
    pixels: int,
) -> None:
    """Find the pixels whose leader no other class can pass.

    Args:
        is_sure: (at least pixels,), written.
        best: see `compete`, as the next four.
        who: there.
        scores: there.
        rivals: there.
        taken: there.
        reserves: (classes,) what light queries may add.
        slack: how much a difference of scores may be off.
        pixels: how many.
    """
    pooled = np.int32(len(reserves) - 1)
    for p in range(INDEX(pixels)):
        is_sure[p] = who[p] != pooled
    for j in range(taken):
        name, reserve = rivals[j], reserves[rivals[j]] + slack
        for p in range(INDEX(pixels)):
            is_sure[p] &= (scores[j, p] + reserve <= best[p]) | (who[p] == name)


@compiled(t.void(PICTURE, _FLAGS, INTEGERS, INTEGERS, t.int64, t.int64, t.int64, t.int64))
def write(
    labels: np.ndarray,
    is_sure: np.ndarray,
    who: np.ndarray,
    classes: np.ndarray,
    top: int,
    bottom: int,
    left: int,
    right: int,
) -> None:
    """Write the classes of a rectangle into the picture, -1 where not sure."""
    at = INDEX(0)
    for y in range(top, bottom):
        for x in range(INDEX(left), INDEX(right)):
            labels[y, x] = classes[INDEX(who[at])] if is_sure[at] else -1
            at += ONE


@compiled(t.void(PICTURE, MAPS, INTEGERS, INTEGERS, TABLE, FLOATS, t.float32, AXIS, AXIS))
def contest_classes(
    labels: np.ndarray,
    maps: np.ndarray,
    queries: np.ndarray,
    classes: np.ndarray,
    front: np.ndarray,
    reserves: np.ndarray,
    still: float,
    rows: Axis,
    columns: Axis,
) -> None:
    """Give pixels the class with the best score, the lower one of equals.

    Args:
        labels: (h, w), written; -1 where that is left to the scores of all queries and classes.
        maps: (Q, logits height, logits width) mask logits.
        queries: see `Core`, as the next four.
        classes: there.
        front: there `weights`.
        reserves: there.
        still: there.
        rows: the way of axis 1.
        columns: the way of axis 2.
    """
    heavy, fronts, blocks = INDEX(len(queries)), INDEX(len(reserves)), INDEX(len(columns.inputs))
    lower, upper = np.empty((heavy, blocks), np.float32), np.empty((heavy, blocks), np.float32)
    own = np.empty((heavy, blocks), np.float32)
    is_rival, is_contested = np.empty((fronts, blocks), np.bool_), np.empty(blocks, np.bool_)
    leaders, active = np.empty(blocks, np.int32), np.empty(heavy, np.int32)
    base, most = np.empty(fronts + ONE, np.float32), np.empty(fronts, np.float32)
    some = np.empty(heavy, np.float32)
    area = MOST_PX * MOST_PX * _LONGEST
    values, scores = np.empty((heavy, area), np.float32), np.empty((fronts, area), np.float32)
    best, who = np.empty(area, np.float32), np.empty(area, np.int32)
    is_sure, rivals = np.empty(area, np.bool_), np.empty(fronts, np.int32)
    scratch = np.empty(scratch_size(rows, columns), np.float32)
    for row in range(len(rows.inputs)):
        top, bottom = rows.outputs[row], rows.outputs[row + 1]
        bounds(lower, upper, maps, queries, rows, row, columns, True)
        lead_classes(leaders, own, lower, upper, front)
        find_rivals(is_rival, is_contested, leaders, own, lower, upper, front, reserves)
        b = INDEX(0)
        while b < blocks:
            begin = b
            while b < blocks and is_contested[b] and b < begin + INDEX(_LONGEST):
                b += ONE
            left, right = columns.outputs[begin], columns.outputs[b + INDEX(b == begin)]
            if b == begin:
                fill(labels, classes[INDEX(leaders[b])], top, bottom, left, right)
                b += ONE
                continue
            for k in range(fronts):
                most[k] = reserves[k]
            count = weigh(active, base, lower, upper, is_rival, front, most, still, begin, b)
            if count > _MOST_ACTIVE:
                fill(labels, -1, top, bottom, left, right)
                continue
            for i in range(INDEX(count)):
                query = queries[INDEX(active[i])]
                evaluate(values[i], maps, query, rows, row, columns, left, right, True, scratch)
            pixels = (bottom - top) * (right - left)
            taken = compete(
                best, who, scores, rivals, most, base, values, front, active, some, count, pixels
            )
            doubt(is_sure, best, who, scores, rivals, taken, reserves, base[fronts], pixels)
            write(labels, is_sure, who, classes, top, bottom, left, right)
