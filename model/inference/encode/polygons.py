"""A mask -> its outline, exact: along pixel edges, so that the even-odd rule gives it back."""

from typing import NamedTuple

import numpy as np

from model.inference.masks import box_of_mask


class Ring(NamedTuple):
    """One closed outline.

    Attributes:
        points: (V, 2) int32, x and y in pixels at pixel corners, 0..w and 0..h; the last point
            joins the first. Clockwise on the screen around a region, counter-clockwise around a
            hole.
        is_hole: whether it bounds a hole in a region.
    """

    points: np.ndarray
    is_hole: bool


def polygons(mask: np.ndarray) -> list[Ring]:
    """Trace a mask, only points where the outline turns; regions are 4-connected.

    The corners of an outline, sorted along a row of pixel corners, pair up to its horizontal
    edges, and sorted along a column to its vertical ones; walking the two pairings in turn gives
    the rings. All but that walk is vectorised.

    Args:
        mask: (h, w) bool.

    Returns:
        rings by their topmost, then leftmost point; none for an empty mask.
    """
    left, top, width, height = box_of_mask(mask)
    if not width:
        return []
    cropped = mask[top : top + height, left : left + width]
    points, across, down = _edges(cropped)
    partner = across.tolist(), down.tolist()
    free = [True] * len(points)
    rings = []
    for start in range(len(points)):  # the first of a ring is its topmost, leftmost corner
        if not free[start]:
            continue
        ring, corner, turn = [], start, 0
        while free[corner]:
            free[corner] = False
            ring.append(corner)
            corner = partner[turn][corner]
            turn ^= 1
        x, y = points[start]
        is_hole = not cropped[y, x]  # the pixel right below the ring's top edge
        if is_hole:
            ring[1:] = ring[:0:-1]
        rings.append(Ring((points[ring] + (left, top)).astype(np.int32), is_hole))
    return rings


def _edges(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners of all outlines and how they are joined.

    Where two pixels touch only diagonally, four edges meet: that corner is listed twice, once for
    its left edge and once for its right edge.

    Returns:
        (V, 2) x and y, by y then x; (V,) the corner at the other end of the horizontal edge;
        (V,) of the vertical edge.
    """
    framed = np.pad(mask, 1)
    nw, ne, sw, se = framed[:-1, :-1], framed[:-1, 1:], framed[1:, :-1], framed[1:, 1:]
    touch = (nw == se) & (ne == sw) & (nw != ne)
    found = np.flatnonzero((nw ^ ne ^ sw ^ se) | touch)
    touches = touch.reshape(-1)[found]
    corners = np.repeat(found, 1 + touches)
    y, x = np.divmod(corners, framed.shape[1] - 1)
    # Of the two copies, the one with the upper edge comes first in its column: the left one for
    # pixels at north-west and south-east, else the right one. So regions meet in no corner.
    right = np.append(False, corners[1:] == corners[:-1])
    swapped = np.repeat(touches & ne.reshape(-1)[found], 1 + touches)
    down = np.lexsort((right ^ swapped, y, x))
    return np.stack([x, y], axis=1), _partners(np.arange(len(x))), _partners(down)


def _partners(order: np.ndarray) -> np.ndarray:
    """Join first and second, third and fourth... of `order`."""
    partners = np.empty_like(order)
    partners[order[::2]], partners[order[1::2]] = order[1::2], order[::2]
    return partners
