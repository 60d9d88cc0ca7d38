"""Persons, walking, standing or riding, and bicycles."""

from __future__ import annotations

import numpy as np

from .canvas import Brush
from .classes import RGB
from .plan import Item

_SKIN: list[RGB] = [(238, 196, 166), (214, 164, 128), (168, 116, 84), (116, 76, 56)]
_HAIR: list[RGB] = [
    (44, 34, 30),
    (96, 62, 38),
    (196, 156, 92),
    (60, 48, 44),
    (150, 146, 142),
    (140, 66, 40),
]
_TOPS: list[RGB] = [
    (204, 56, 54),
    (58, 104, 176),
    (238, 232, 222),
    (238, 178, 54),
    (66, 132, 96),
    (134, 74, 140),
    (46, 50, 62),
    (226, 128, 92),
    (96, 168, 182),
    (214, 96, 140),
]
_LEGS: list[RGB] = [(44, 54, 84), (60, 58, 60), (150, 126, 94), (92, 106, 130), (84, 66, 56)]
_FRAMES: list[RGB] = [
    (200, 44, 44),
    (40, 104, 172),
    (30, 32, 36),
    (52, 142, 108),
    (232, 168, 48),
    (228, 228, 226),
]


def draw_person(brush: Brush, item: Item) -> None:
    """Draws a person of about 1.7 m, scaled to the item's height."""
    rng = np.random.default_rng(item.seed)
    skin, hair = _SKIN[int(rng.integers(4))], _HAIR[int(rng.integers(6))]
    top, legs = _TOPS[int(rng.integers(10))], _LEGS[int(rng.integers(5))]
    k = item.height_m / 1.72
    facing = 1.0 if rng.random() < 0.5 else -1.0
    stride = {"walk": rng.uniform(0.13, 0.26), "stand": 0.05}[item.variant]
    bulk = rng.uniform(0.92, 1.12)
    dress = rng.random() < 0.2
    _legs(brush, k, facing, stride, skin if dress else legs)
    swing = stride * 0.9
    back = (-0.02 * facing * k, 1.40 * k)
    hand = (-facing * (swing + 0.06) * k, 0.86 * k)
    elbow = (-facing * (swing * 0.55 + 0.10) * k, 1.12 * k)
    brush.limb(back, elbow, 0.12 * k, 0.10 * k, top, 0.78)
    brush.limb(elbow, hand, 0.10 * k, 0.08 * k, top, 0.78)
    brush.disc(hand[0], hand[1], 0.05 * k, 0.05 * k, skin, 0.9)
    if rng.random() < 0.3:
        bag = _TOPS[int(rng.integers(10))]
        x = -facing * 0.19 * k
        brush.limb((x, 1.05 * k), (x, 1.32 * k), 0.2 * k, 0.2 * k, bag, 0.8)
    _torso(brush, k, bulk, top, dress)
    shoulder = (0.06 * facing * k, 1.39 * k)
    elbow = (facing * (swing * 0.5 + 0.04) * k - 0.05 * facing * k, 1.12 * k)
    hand = (facing * (swing + 0.08) * k, 0.90 * k)
    brush.limb(shoulder, elbow, 0.13 * k, 0.11 * k, top, 0.9)
    brush.limb(elbow, hand, 0.11 * k, 0.085 * k, top, 0.92)
    brush.disc(hand[0], hand[1], 0.052 * k, 0.055 * k, skin)
    _head(brush, 0.02 * facing * k, 1.58 * k, k, facing, skin, hair, rng)


def _legs(brush: Brush, k: float, facing: float, stride: float, color: RGB) -> None:
    for side, gain in ((-1.0, 0.72), (1.0, 0.96)):
        hip = (side * 0.055 * k, 0.84 * k)
        foot = (side * facing * stride * k + side * 0.03 * k, 0.06 * k)
        knee = ((hip[0] + foot[0]) / 2 + 0.05 * facing * k * (stride > 0.1), 0.46 * k)
        brush.limb(hip, knee, 0.19 * k, 0.14 * k, color, gain)
        brush.limb(knee, foot, 0.14 * k, 0.10 * k, color, gain)
        toe = (foot[0] + facing * 0.10 * k, 0.045 * k)
        heel = (foot[0] - facing * 0.02 * k, 0.05 * k)
        brush.limb(heel, toe, 0.10 * k, 0.08 * k, (44, 38, 36), gain)


def _torso(brush: Brush, k: float, bulk: float, top: RGB, dress: bool) -> None:
    w = 0.2 * bulk * k
    if dress:
        brush.polygon(
            [
                (-w * 0.8, 0.95 * k),
                (w * 0.8, 0.95 * k),
                (w * 1.45, 0.52 * k),
                (-w * 1.45, 0.52 * k),
            ],
            top,
            0.94,
        )
    brush.polygon(
        [
            (-w * 0.82, 0.80 * k),
            (w * 0.82, 0.80 * k),
            (w * 0.86, 1.1 * k),
            (w * 1.04, 1.36 * k),
            (w * 0.62, 1.45 * k),
            (-w * 0.62, 1.45 * k),
            (-w * 1.04, 1.36 * k),
            (-w * 0.86, 1.1 * k),
        ],
        top,
    )
    if not dress:
        brush.box(-w * 0.82, 0.80 * k, w * 0.82, 0.86 * k, top, 0.7)


def _head(
    brush: Brush,
    x: float,
    y: float,
    k: float,
    facing: float,
    skin: RGB,
    hair: RGB,
    rng: np.random.Generator,
) -> None:
    style = rng.random()
    brush.limb((x, y - 0.18 * k), (x, y - 0.06 * k), 0.1 * k, 0.1 * k, skin, 0.85)
    if style < 0.4:
        brush.disc(x - facing * 0.035 * k, y - 0.04 * k, 0.115 * k, 0.17 * k, hair, 0.95)
    brush.disc(x - facing * 0.015 * k, y + 0.03 * k, 0.112 * k, 0.125 * k, hair)
    brush.disc(x + facing * 0.022 * k, y - 0.012 * k, 0.088 * k, 0.108 * k, skin)
    if style > 0.8:
        brush.polygon(
            [
                (x - 0.12 * k, y + 0.05 * k),
                (x + 0.12 * k, y + 0.05 * k),
                (x + 0.09 * k, y + 0.15 * k),
                (x - 0.09 * k, y + 0.15 * k),
            ],
            _TOPS[int(rng.integers(10))],
        )
        brush.limb(
            (x, y + 0.055 * k), (x + facing * 0.17 * k, y + 0.05 * k), 0.04 * k, 0.03 * k, hair
        )


def draw_bicycle(brush: Brush, item: Item) -> None:
    """Draws a bicycle; its wheels count as whole discs."""
    rng = np.random.default_rng(item.seed)
    frame = _FRAMES[int(rng.integers(6))]
    r, y = 0.35, 0.35
    rear, front, pedal = (-0.54, y), (0.54, y), (-0.06, 0.30)
    seat, head = (-0.24, 0.86), (0.36, 0.86)
    for x in (rear[0], front[0]):
        brush.disc(x, y, r, r, (60, 60, 64), alpha=88)
        for turn in range(4):
            c, s = ((1, 0), (0.707, 0.707), (0, 1), (-0.707, 0.707))[turn]
            brush.limb(
                (x - r * c, y - r * s), (x + r * c, y + r * s), 0.012, 0.012, (190, 190, 194)
            )
        brush.ring(x, y, r - 0.03, 0.065, (28, 28, 30))
        brush.ring(x, y, r - 0.075, 0.025, (170, 172, 176))
    for a, b in (
        (rear, pedal),
        (rear, seat),
        (seat, pedal),
        (pedal, head),
        (seat, head),
        (head, front),
    ):
        top_b = (b[0], b[1] - 0.08) if b == head and a == seat else b
        brush.limb(a, top_b, 0.06, 0.06, frame)
    brush.limb((-0.24, 0.86), (-0.27, 0.98), 0.05, 0.05, (50, 50, 54))
    brush.limb((-0.40, 1.0), (-0.16, 1.0), 0.09, 0.06, (40, 34, 32))
    brush.limb(head, (0.33, 1.04), 0.05, 0.05, (60, 60, 64))
    brush.limb((0.33, 1.04), (0.46, 1.06), 0.05, 0.05, (50, 50, 54))
    brush.disc(pedal[0], pedal[1], 0.1, 0.1, (70, 70, 74))
    brush.limb((-0.06, 0.30), (0.02, 0.16), 0.04, 0.04, (40, 40, 44))
    if rng.random() < 0.35:
        brush.box(0.5, 0.72, 0.78, 0.96, (164, 120, 74))


def draw_rider(brush: Brush, item: Item) -> None:
    """Draws the person on a bicycle, in the bicycle's plane."""
    rng = np.random.default_rng(item.seed)
    skin, hair = _SKIN[int(rng.integers(4))], _HAIR[int(rng.integers(6))]
    top, legs = _TOPS[int(rng.integers(10))], _LEGS[int(rng.integers(5))]
    hip, knee, foot = (-0.26, 1.04), (0.10, 0.78), (0.0, 0.22)
    brush.limb(hip, (0.02, 0.66), 0.17, 0.14, legs, 0.75)
    brush.limb((0.02, 0.66), (-0.12, 0.40), 0.13, 0.10, legs, 0.75)
    brush.limb(hip, knee, 0.19, 0.15, legs)
    brush.limb(knee, foot, 0.14, 0.10, legs)
    brush.limb((-0.04, 0.18), (0.1, 0.18), 0.09, 0.07, (40, 36, 36))
    brush.limb(hip, (0.0, 1.46), 0.26, 0.28, top)
    brush.limb((0.02, 1.45), (0.2, 1.2), 0.12, 0.10, top, 0.88)
    brush.limb((0.2, 1.2), (0.42, 1.1), 0.1, 0.08, skin)
    brush.limb((0.03, 1.5), (0.07, 1.62), 0.1, 0.1, skin, 0.9)
    brush.disc(0.08, 1.72, 0.12, 0.13, hair)
    brush.disc(0.115, 1.69, 0.09, 0.11, skin)
    if rng.random() < 0.5:
        brush.disc(0.07, 1.79, 0.145, 0.08, _TOPS[int(rng.integers(10))])
