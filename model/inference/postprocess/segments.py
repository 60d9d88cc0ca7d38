"""Areas and boxes of segments, exact, and the class filter. Row by row, to bound memory."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from model.structures import Segmentation

_CHUNK_PX = 2**20


def areas_and_boxes(
    id_map: np.ndarray,
) -> tuple[dict[int, int], dict[int, tuple[int, int, int, int]]]:
    """Measure all segments in one pass over the map.

    Args:
        id_map: (h, w) int32, 0 = void.

    Returns:
        area in pixels, and left, top, width, height in pixels, by id; only ids in the map.
    """
    count = int(id_map.max()) + 1
    areas = np.zeros(count, np.int64)
    lower = np.full((2, count), np.iinfo(np.int64).max)  # left, top
    upper = np.zeros((2, count), np.int64)  # right, bottom, exclusive
    for top, rows in _row_chunks(id_map):
        width = rows.shape[1]
        begins = np.ones(rows.shape, bool)  # every row begins a run
        np.not_equal(rows[:, 1:], rows[:, :-1], out=begins[:, 1:])
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=rows.size)
        ids = rows[begins]
        np.add.at(areas, ids, lengths)
        np.minimum.at(lower[0], ids, starts % width)
        np.minimum.at(lower[1], ids, starts // width + top)
        np.maximum.at(upper[0], ids, starts % width + lengths)
        np.maximum.at(upper[1], ids, starts // width + top + 1)
    found = [id_ for id_ in range(1, count) if areas[id_]]
    boxes = np.concatenate([lower, upper - lower]).T.tolist()  # (count, 4)
    return {id_: int(areas[id_]) for id_ in found}, {id_: tuple(boxes[id_]) for id_ in found}


def relabel_(id_map: np.ndarray, ids: np.ndarray) -> None:
    """Replace every value v of a (h, w) int32 map by `ids[v]`, in place."""
    for _, rows in _row_chunks(id_map):
        rows[:] = ids[rows]


def keep_classes(segmentation: Segmentation, classes: Collection[int]) -> Segmentation:
    """The same answer without the segments of all other classes; their pixels become void."""
    kept = [segment.class_index in classes for segment in segmentation.segments]
    segments = tuple(s for s, keep in zip(segmentation.segments, kept, strict=True) if keep)
    ids = np.zeros(int(segmentation.id_map.max()) + 1, np.int32)
    for segment in segments:
        if segment.id < len(ids):  # a hidden instance may lie above what the map holds
            ids[segment.id] = segment.id
    id_map = segmentation.id_map.copy()
    relabel_(id_map, ids)
    runs = segmentation.instance_runs
    if runs is not None:
        runs = tuple(counts for counts, keep in zip(runs, kept, strict=True) if keep)
    return replace(segmentation, id_map=id_map, segments=segments, instance_runs=runs)


def _row_chunks(id_map: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Top row and view of bands of rows, about 2^20 pixels each."""
    step = max(1, _CHUNK_PX // id_map.shape[1])
    for top in range(0, id_map.shape[0], step):
        yield top, id_map[top : top + step]
