"""Boats, seen from the side, and their reflection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from .canvas import Brush
from .classes import RGB, WATER
from .plan import Item

_HULLS: list[RGB] = [
    (238, 238, 234),
    (36, 66, 112),
    (176, 44, 44),
    (44, 104, 92),
    (226, 178, 70),
    (120, 78, 50),
]
_SAILS: list[RGB] = [(248, 246, 240), (240, 226, 200), (214, 88, 70), (90, 140, 186)]


def draw_boat(brush: Brush, item: Item) -> None:
    """Draws a sailing, motor, fishing or rowing boat; the item's width is its length."""
    rng = np.random.default_rng(item.seed)
    side = 1.0 if rng.random() < 0.5 else -1.0
    hull = _HULLS[int(rng.integers(6))]
    k = item.width_m / 6.0

    def shape(points: list[tuple[float, float]], color: RGB, gain: float = 1.0) -> None:
        brush.polygon([(side * x * k, y * k) for x, y in points], color, gain)

    if item.variant == "sail":
        _sails(shape, _SAILS[int(rng.integers(4))], item.height_m / k)
    elif item.variant in ("motor", "fishing"):
        _cabin(shape, item.variant)
    shape([(-2.9, 0.75), (3.1, 1.0), (2.5, 0.2), (2.2, -0.05), (-2.5, -0.05), (-2.8, 0.25)], hull)
    shape([(-2.9, 0.75), (3.1, 1.0), (3.03, 0.86), (-2.89, 0.6)], (246, 244, 238))
    shape([(-2.86, 0.42), (2.72, 0.5), (2.62, 0.36), (-2.84, 0.28)], hull, 0.74)
    shape([(-2.7, 0.1), (2.38, 0.1), (2.2, -0.05), (-2.5, -0.05)], (70, 52, 48), 0.9)
    if item.variant == "row":
        shape([(-2.5, 0.72), (2.7, 0.94), (2.3, 0.8), (-2.3, 0.66)], (96, 70, 48))
        shape([(-0.6, 0.8), (-0.2, 0.8), (1.4, 0.1), (1.2, 0.05)], (188, 150, 104))


def _sails(shape: Callable[..., None], color: RGB, top: float) -> None:
    shape([(0.18, 0.8), (0.36, 0.8), (0.32, top), (0.22, top)], (120, 92, 66))
    shape([(0.1, 1.35), (0.14, top * 0.97), (-1.2, top * 0.5), (-2.6, 1.35)], color)
    shape([(0.1, 1.35), (0.12, top * 0.6), (-0.9, 1.35)], color, 0.9)
    shape([(0.48, 1.3), (0.42, top * 0.86), (1.5, top * 0.45), (2.85, 1.2)], color, 0.86)
    shape([(-2.6, 1.24), (0.2, 1.24), (0.2, 1.36), (-2.6, 1.36)], (120, 92, 66))


def _cabin(shape: Callable[..., None], kind: str) -> None:
    wall: RGB = (242, 240, 234) if kind == "motor" else (230, 206, 150)
    if kind == "motor":
        shape([(-1.7, 0.7), (1.4, 0.9), (0.7, 1.75), (-1.5, 1.7)], wall)
        shape([(-1.3, 1.15), (0.95, 1.2), (0.6, 1.6), (-1.25, 1.55)], (54, 76, 96))
        shape([(-0.3, 1.1), (-0.16, 1.1), (-0.16, 1.6), (-0.3, 1.6)], wall)
        shape([(-1.9, 1.72), (0.9, 1.78), (0.8, 1.9), (-1.9, 1.84)], (60, 84, 120))
        return
    shape([(0.15, 0.8), (0.27, 0.8), (0.25, 3.4), (0.17, 3.4)], (92, 74, 58))
    shape([(-1.9, 0.7), (-0.2, 0.75), (-0.25, 2.1), (-1.85, 2.1)], wall)
    for x in (-1.7, -0.95):
        shape([(x, 1.35), (x + 0.55, 1.35), (x + 0.55, 1.85), (x, 1.85)], (54, 76, 96))
    shape([(-2.05, 2.08), (-0.05, 2.08), (-0.15, 2.28), (-1.95, 2.28)], (170, 62, 52))
    shape([(0.2, 3.3), (2.7, 1.05), (2.78, 1.05), (0.24, 3.4)], (92, 74, 58))


def reflect_boat(brush: Brush, waterline_px: float, height_px: float) -> None:
    """Lays the boat's mirror image, rippled and faint, onto the water below it."""
    canvas = brush.canvas
    box = brush.mask.getbbox()
    if box is None:
        return
    line = min(round(waterline_px), canvas.height_px)
    tall = min(line - box[1], canvas.height_px - line, round(height_px))
    if tall < 3:
        return
    area = (box[0], line - tall, box[2], line)
    color = np.asarray(canvas.color.crop(area))[::-1]
    solid = np.asarray(brush.mask.crop(area))[::-1]
    rows = np.arange(tall)
    shift = ((rows * 7919 >> 2) % 5 - 2) * max(1, tall // 60)
    columns = np.clip(np.arange(color.shape[1])[None, :] + shift[:, None], 0, color.shape[1] - 1)
    color = np.take_along_axis(color, columns[..., None], 1)
    solid = np.take_along_axis(solid, columns, 1)
    below = (box[0], line, box[2], line + tall)
    water = np.asarray(canvas.label.crop(below)) == WATER + 1
    fade = (150 - 110 * rows / tall)[:, None]
    alpha = np.where(water & (solid > 0), fade, 0).astype(np.uint8)
    canvas.color.paste(
        Image.fromarray((color * 0.82).astype(np.uint8)), below[:2], Image.fromarray(alpha)
    )
