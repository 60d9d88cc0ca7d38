"""Street lamps and traffic signs; both include their pole."""

from __future__ import annotations

import math

import numpy as np

from .camera import Point2
from .canvas import Brush
from .classes import RGB
from .mood import Mood
from .plan import Item

_POLES: list[RGB] = [(58, 66, 64), (44, 48, 54), (72, 78, 84), (40, 64, 54)]


def draw_lamp(brush: Brush, item: Item, mood: Mood) -> list[tuple[Point2, float]]:
    """Draws a street lamp; returns where its light shines on the canvas and its radius in m."""
    rng = np.random.default_rng(item.seed)
    color = _POLES[int(rng.integers(4))]
    h = item.height_m
    thick = max(0.13, 0.0085 * item.z_m)
    glow: RGB = (255, 238, 190) if mood.night > 0.25 else (238, 238, 230)
    shine = 1.6 if mood.night > 0.25 else 1.0
    brush.box(-thick * 0.95, 0, thick * 0.95, 0.5, color)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if item.variant == "arm":
        brush.limb((0, 0.4), (0, h - 0.35), thick * 1.15, thick * 0.8, color)
        reach = side * h * 0.2
        brush.limb((0, h - 0.35), (reach * 0.35, h - 0.06), thick * 0.8, thick * 0.7, color)
        brush.limb((reach * 0.35, h - 0.06), (reach, h), thick * 0.7, thick * 0.7, color)
        head = (reach * 1.25, h - 0.04)
        brush.limb((reach, h), (reach * 1.55, h - 0.04), 0.24, 0.17, color)
        brush.limb((reach * 1.05, h - 0.13), (reach * 1.5, h - 0.15), 0.1, 0.1, glow, shine)
        return [(brush.place(head[0], head[1] - 0.1), 0.5)]
    if item.variant == "globe":
        brush.limb((0, 0.4), (0, h - 0.5), thick * 1.15, thick * 0.85, color)
        brush.disc(0, h - 0.26, 0.3, 0.3, glow, shine)
        brush.disc(-0.08, h - 0.2, 0.12, 0.12, (255, 255, 250), shine)
        brush.box(-0.14, h - 0.58, 0.14, h - 0.48, color)
        return [(brush.place(0, h - 0.26), 0.45)]
    brush.limb((0, 0.4), (0, h - 0.8), thick * 1.15, thick * 0.85, color)
    brush.box(-0.16, h - 0.86, 0.16, h - 0.78, color)
    brush.polygon(
        [(-0.16, h - 0.78), (0.16, h - 0.78), (0.27, h - 0.26), (-0.27, h - 0.26)], glow, shine
    )
    brush.polygon([(-0.34, h - 0.28), (0.34, h - 0.28), (0.12, h - 0.06), (-0.12, h - 0.06)], color)
    brush.limb((0, h - 0.1), (0, h), 0.07, 0.05, color)
    brush.box(-0.025, h - 0.78, 0.025, h - 0.28, color)
    return [(brush.place(0, h - 0.5), 0.4)]


def draw_sign(brush: Brush, item: Item) -> None:
    """Draws a traffic sign on its pole."""
    rng = np.random.default_rng(item.seed)
    thick = max(0.1, 0.0085 * item.z_m)
    h = item.height_m
    size = 0.46 * max(1.0, item.z_m / 22)
    middle = h - size
    brush.box(-thick / 2, 0, thick / 2, h - size * 0.4, (138, 142, 146))
    _FACES[item.variant](brush, middle, size, rng)
    if rng.random() < 0.25 and item.variant in ("ring", "triangle"):
        brush.box(
            -size * 0.75, middle - size * 1.65, size * 0.75, middle - size * 1.12, (242, 242, 238)
        )
        brush.box(-size * 0.5, middle - size * 1.45, size * 0.5, middle - size * 1.32, (50, 50, 54))


def _regular(y: float, radius: float, corners: int, turn: float) -> list[Point2]:
    return [
        (
            round(radius * math.sin(turn + k * 2 * math.pi / corners), 6),
            round(y + radius * math.cos(turn + k * 2 * math.pi / corners), 6),
        )
        for k in range(corners)
    ]


def _ring(brush: Brush, y: float, size: float, rng: np.random.Generator) -> None:
    brush.disc(0, y, size, size, (204, 30, 36))
    brush.disc(0, y, size * 0.72, size * 0.72, (246, 246, 242))
    if rng.random() < 0.6:
        for x in (-0.28, 0.24):
            brush.box(
                (x - 0.13) * size, y - 0.32 * size, (x + 0.17) * size, y + 0.32 * size, (34, 34, 38)
            )
            brush.box(
                (x - 0.02) * size,
                y - 0.18 * size,
                (x + 0.06) * size,
                y + 0.18 * size,
                (246, 246, 242),
            )


def _triangle(brush: Brush, y: float, size: float, _: np.random.Generator) -> None:
    brush.polygon(_regular(y - 0.12 * size, size * 1.16, 3, 0), (204, 30, 36))
    brush.polygon(_regular(y - 0.12 * size, size * 0.72, 3, 0), (248, 246, 238))
    brush.box(-0.08 * size, y - 0.2 * size, 0.08 * size, y + 0.24 * size, (34, 34, 38))
    brush.disc(0, y - 0.34 * size, 0.09 * size, 0.09 * size, (34, 34, 38))


def _stop(brush: Brush, y: float, size: float, _: np.random.Generator) -> None:
    brush.polygon(_regular(y, size * 1.06, 8, math.pi / 8), (244, 242, 238))
    brush.polygon(_regular(y, size * 0.96, 8, math.pi / 8), (196, 26, 34))
    for k in range(4):
        x = (-0.6 + 0.32 * k) * size
        brush.box(x, y - 0.2 * size, x + 0.24 * size, y + 0.2 * size, (246, 244, 240))
        brush.box(x + 0.08 * size, y - 0.08 * size, x + 0.17 * size, y + 0.1 * size, (196, 26, 34))


def _blue(brush: Brush, y: float, size: float, rng: np.random.Generator) -> None:
    brush.disc(0, y, size, size, (244, 244, 242))
    brush.disc(0, y, size * 0.93, size * 0.93, (28, 86, 176))
    side = 1 if rng.random() < 0.5 else -1
    brush.limb(
        (-side * 0.4 * size, y), (side * 0.1 * size, y), 0.2 * size, 0.2 * size, (246, 246, 244)
    )
    brush.polygon(
        [
            (side * 0.05 * size, y + 0.42 * size),
            (side * 0.62 * size, y),
            (side * 0.05 * size, y - 0.42 * size),
        ],
        (246, 246, 244),
    )


def _parking(brush: Brush, y: float, size: float, _: np.random.Generator) -> None:
    brush.box(-size * 0.92, y - size * 0.92, size * 0.92, y + size * 0.92, (244, 244, 242))
    brush.box(-size * 0.84, y - size * 0.84, size * 0.84, y + size * 0.84, (28, 86, 176))
    white: RGB = (248, 248, 246)
    brush.box(-0.4 * size, y - 0.6 * size, -0.18 * size, y + 0.6 * size, white)
    brush.disc(0.0, y + 0.26 * size, 0.4 * size, 0.36 * size, white)
    brush.disc(-0.02 * size, y + 0.26 * size, 0.18 * size, 0.16 * size, (28, 86, 176))


def _diamond(brush: Brush, y: float, size: float, _: np.random.Generator) -> None:
    brush.polygon(_regular(y, size * 1.15, 4, 0), (246, 246, 242))
    brush.polygon(_regular(y, size * 0.88, 4, 0), (246, 190, 30))


def _board(brush: Brush, y: float, size: float, rng: np.random.Generator) -> None:
    side = 1 if rng.random() < 0.5 else -1
    color: RGB = ((246, 204, 60), (30, 110, 76), (34, 84, 160))[int(rng.integers(3))]
    ink: RGB = (40, 40, 44) if color[0] > 200 else (246, 246, 244)
    tip, tail = side * size * 1.9, -side * size * 1.2
    brush.polygon(
        [
            (tail, y + 0.5 * size),
            (side * size * 1.4, y + 0.5 * size),
            (tip, y),
            (side * size * 1.4, y - 0.5 * size),
            (tail, y - 0.5 * size),
        ],
        color,
    )
    brush.box(
        min(tail, side * size) * 0.8,
        y + 0.1 * size,
        max(tail, side * size) * 0.8,
        y + 0.24 * size,
        ink,
    )
    brush.box(
        min(tail, side * size * 0.4) * 0.8,
        y - 0.26 * size,
        max(tail, side * size * 0.4) * 0.8,
        y - 0.12 * size,
        ink,
    )


_FACES = {
    "ring": _ring,
    "triangle": _triangle,
    "stop": _stop,
    "blue": _blue,
    "parking": _parking,
    "diamond": _diamond,
    "board": _board,
}
SIGN_VARIANTS = tuple(_FACES)
