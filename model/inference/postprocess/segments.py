"""Areas and boxes of segments, exact, and the class filter. Row by row, to bound memory."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numba import types as t

from model.inference.compiled import compiled
from model.structures import Segmentation

Boxes = dict[int, tuple[int, int, int, int]]


def areas_and_boxes(id_map: np.ndarray) -> tuple[dict[int, int], Boxes]:
    """Measure all segments in one pass over the map.

    Args:
        id_map: (h, w) int32, 0 = void.

    Returns:
        area in pixels, and left, top, width, height in pixels, by id; only ids in the map.
    """
    return _by_id(*measure(id_map, int(id_map.max()) + 1))


def measure(id_map: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Areas and edges of the values of a map, in one pass.

    Args:
        id_map: (h, w) int32, in 0..count - 1.
        count: of values.

    Returns:
        (count,) int64 areas in pixels; (count, 4) int32 left, top, right, bottom, the last two
        exclusive: the map's width and height, 0 and 0 where the area is 0.
    """
    areas, edges = np.zeros(count, np.int64), np.zeros((count, 4), np.int32)
    edges[:, :2] = id_map.shape[::-1]
    _measure(areas, edges, id_map)
    return areas, edges


def relabel_measured_(
    id_map: np.ndarray, ids: np.ndarray, areas: np.ndarray, edges: np.ndarray
) -> tuple[dict[int, int], Boxes]:
    """`relabel_`, and what `areas_and_boxes` would say of the result without another pass.

    Args:
        id_map: (h, w) int32, changed.
        ids: (count,) int32 a value's id; several may have the same one, 0 = void.
        areas: from `measure` of the map as it was.
        edges: likewise.
    """
    relabel_(id_map, ids)
    count = int(ids.max()) + 1
    joined, around = np.zeros(count, np.int64), np.zeros((count, 4), np.int32)
    around[:, :2] = id_map.shape[::-1]
    np.add.at(joined, ids, areas)
    np.minimum.at(around[:, :2], ids, edges[:, :2])
    np.maximum.at(around[:, 2:], ids, edges[:, 2:])
    return _by_id(joined, around)


def _by_id(areas: np.ndarray, edges: np.ndarray) -> tuple[dict[int, int], Boxes]:
    sizes = edges[:, 2:] - edges[:, :2]
    rows = zip(areas.tolist(), edges[:, :2].tolist(), sizes.tolist(), strict=True)
    found = [(id_, row) for id_, row in enumerate(rows) if id_ and row[0]]
    boxes = {id_: (*corner, *size) for id_, (_, corner, size) in found}
    return {id_: area for id_, (area, _, _) in found}, boxes


@compiled(t.void(t.int64[::1], t.int32[:, ::1], t.int32[:, ::1]))
def _measure(areas: np.ndarray, edges: np.ndarray, id_map: np.ndarray) -> None:
    """Areas (ids,) and left, top, right, bottom (ids, 4), run by run."""
    for y in range(id_map.shape[0]):
        begin = 0
        while begin < id_map.shape[1]:
            id_, end = id_map[y, begin], begin + 1
            while end < id_map.shape[1] and id_map[y, end] == id_:
                end += 1
            areas[id_] += end - begin
            edges[id_, 0] = min(edges[id_, 0], begin)
            edges[id_, 1] = min(edges[id_, 1], y)
            edges[id_, 2] = max(edges[id_, 2], end)
            edges[id_, 3] = max(edges[id_, 3], y + 1)
            begin = end


@compiled(t.void(t.int32[:, ::1], t.int32[::1]))
def relabel_(id_map: np.ndarray, ids: np.ndarray) -> None:
    """Replace every value v of a (h, w) int32 map by `ids[v]`, in place."""
    flat = id_map.reshape(-1)
    for pixel in range(np.uintp(len(flat))):
        flat[pixel] = ids[np.uintp(flat[pixel])]


def keep_classes(segmentation: Segmentation, classes: Collection[int]) -> Segmentation:
    """The same answer without the segments of all other classes; their pixels become void."""
    kept = [segment.class_index in classes for segment in segmentation.segments]
    segments = tuple(s for s, keep in zip(segmentation.segments, kept, strict=True) if keep)
    ids = np.zeros(int(segmentation.id_map.max()) + 1, np.int32)
    for segment in segments:
        if segment.id < len(ids):  # a hidden instance may lie above what the map holds
            ids[segment.id] = segment.id
    runs = segmentation.instance_runs
    if runs is not None:
        runs = tuple(counts for counts, keep in zip(runs, kept, strict=True) if keep)
    id_map = segmentation.id_map.copy()
    relabel_(id_map, ids)
    return replace(segmentation, id_map=id_map, segments=segments, instance_runs=runs)
