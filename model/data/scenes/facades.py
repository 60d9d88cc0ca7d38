"""Flat textures of walls and roofs; alpha 0 marks what shines by itself."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .classes import RGB
from .mood import Mood
from .plan import Building

_WALLS: dict[str, list[RGB]] = {
    "plaster": [
        (226, 206, 170),
        (220, 178, 142),
        (204, 214, 206),
        (232, 222, 206),
        (208, 156, 132),
        (186, 196, 214),
        (230, 196, 120),
    ],
    "brick": [(164, 88, 70), (182, 112, 84), (148, 84, 74), (190, 138, 108)],
    "stone": [(196, 186, 168), (178, 172, 164), (206, 192, 166)],
    "modern": [(198, 204, 208), (170, 178, 186), (214, 210, 200)],
    "wood": [(176, 72, 58), (232, 228, 216), (122, 146, 158), (208, 174, 98), (116, 132, 104)],
}
_ROOFS: list[RGB] = [(158, 82, 62), (122, 74, 64), (92, 92, 102), (146, 98, 72), (86, 84, 82)]
_TRIMS: list[RGB] = [(244, 242, 236), (232, 224, 208), (92, 70, 58), (70, 84, 82)]
_DOORS: list[RGB] = [(110, 60, 44), (56, 84, 72), (64, 72, 104), (132, 44, 44), (74, 62, 54)]
_AWNINGS: list[RGB] = [(186, 54, 50), (44, 110, 86), (58, 86, 150), (212, 150, 52), (120, 60, 100)]


class _Facade:
    """Draws rectangles given in metres from the top left of a wall."""

    def __init__(self, image: Image.Image, scale: float) -> None:
        self.draw = ImageDraw.Draw(image)
        self.scale = scale

    def box(self, s0: float, t0: float, s1: float, t1: float, color: RGB, alpha: int = 255) -> None:
        """Fills a rectangle; alpha 0 makes it shine by itself."""
        k = self.scale
        x0, y0, x1, y1 = round(s0 * k), round(t0 * k), round(s1 * k) - 1, round(t1 * k) - 1
        if x1 >= x0 and y1 >= y0:
            self.draw.rectangle((x0, y0, x1, y1), fill=(*color, alpha))


def draw_facade(
    building: Building,
    length_m: float,
    height_m: float,
    rise_m: float,
    scale: float,
    facade: bool,
    mood: Mood,
    rng: np.random.Generator,
) -> Image.Image:
    """Returns an RGBA texture of a wall, `scale` texels per metre, `rise_m` of gable on top."""
    look = np.random.default_rng([building.seed, 1])
    palette = _WALLS[building.style]
    wall = palette[int(look.integers(len(palette)))]
    trim = _TRIMS[int(look.integers(len(_TRIMS)))]
    image = _wall(building.style, wall, length_m, height_m + rise_m, scale, rng)
    facade_draw = _Facade(image, scale)
    floor_m = float(look.uniform(2.9, 3.5))
    floors = max(1, int(height_m / floor_m))
    floor_m = height_m / floors
    shop = facade and building.style != "wood" and floors > 2 and look.random() < 0.6
    bay_m = float(look.uniform(2.3, 3.4))
    window = (float(look.uniform(1.0, 1.5)), float(look.uniform(1.3, 1.8)))
    if building.style == "modern":
        window = (bay_m * 0.8, floor_m * 0.56)
    bays = max(1, int(length_m / bay_m))
    step = length_m / bays
    door_bay = int(look.integers(bays))
    arched = building.style in ("plaster", "stone") and look.random() < 0.4
    for floor in range(floors):
        bottom = rise_m + height_m - floor * floor_m
        if floor == 0 and shop:
            _shop(facade_draw, length_m, bottom, floor_m, mood, look, rng)
            continue
        for bay in range(bays):
            middle = (bay + 0.5) * step
            if floor == 0 and facade and bay == door_bay:
                _door(facade_draw, middle, bottom, _DOORS[int(look.integers(len(_DOORS)))], trim)
            elif facade or bays < 3 or bay % 2:
                _window(facade_draw, middle, bottom - 0.85, window, trim, mood, rng, arched)
        if floor and building.style in ("plaster", "stone"):
            facade_draw.box(0, bottom - 0.1, length_m, bottom + 0.08, _dim(wall, 1.1))
    facade_draw.box(0, rise_m + height_m - 0.45, length_m, rise_m + height_m, _dim(wall, 0.72))
    if building.roof == "flat":
        facade_draw.box(0, rise_m, length_m, rise_m + 0.3, _dim(trim, 0.96))
        facade_draw.box(0, rise_m + 0.3, length_m, rise_m + 0.5, _dim(wall, 0.7))
    return image


def _dim(color: RGB, gain: float) -> RGB:
    red, green, blue = (min(255, round(value * gain)) for value in color)
    return red, green, blue


def _wall(
    style: str,
    color: RGB,
    length_m: float,
    height_m: float,
    scale: float,
    rng: np.random.Generator,
) -> Image.Image:
    """Returns the bare RGBA wall with its courses, boards or stains."""
    width, height = max(2, round(length_m * scale)), max(2, round(height_m * scale))
    course_m, brick_m, spread = {
        "brick": (0.17, 0.4, 13),
        "stone": (0.5, 0.95, 9),
        "wood": (0.24, 40.0, 7),
        "plaster": (1.4, 1.4, 4),
        "modern": (1.6, 1.6, 3),
    }[style]
    rows, columns = max(1, int(height_m / course_m)), max(1, int(length_m / brick_m))
    tint = rng.integers(-spread, spread + 1, (rows, columns, 1)) + np.array(color)
    cells = Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8))
    smooth = style in ("plaster", "modern")
    resample = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    image = cells.resize((width, height), resample)
    if course_m * scale > 5 and not smooth:
        draw = ImageDraw.Draw(image)
        for row in range(1, rows):
            y = round(row * height / rows)
            draw.line((0, y, width, y), fill=_dim(color, 0.8))
    image.putalpha(255)
    return image


def _glass(mood: Mood, rng: np.random.Generator) -> tuple[RGB, int]:
    """Returns a pane's colour and alpha; lit panes shine by themselves."""
    if rng.random() < mood.night * 0.6:
        return ((255, 214, 138), (255, 196, 112), (250, 226, 170))[int(rng.integers(3))], 0
    shade = float(rng.uniform(0.8, 1.25))
    return _dim((72, 92, 112), shade), 255


def _window(
    draw: _Facade,
    middle: float,
    bottom: float,
    size: tuple[float, float],
    trim: RGB,
    mood: Mood,
    rng: np.random.Generator,
    arched: bool,
) -> None:
    left, right, top = middle - size[0] / 2, middle + size[0] / 2, bottom - size[1]
    pane, alpha = _glass(mood, rng)
    draw.box(left - 0.12, top - 0.12, right + 0.12, bottom + 0.1, trim)
    if arched:
        draw.box(left - 0.2, top - 0.32, right + 0.2, top - 0.14, _dim(trim, 0.9))
    draw.box(left, top, right, bottom, pane, alpha)
    if draw.scale < 7:
        return
    draw.box(left, top, right, top + size[1] * 0.14, _dim(pane, 0.6), alpha)
    if alpha:
        draw.box(left, top + size[1] * 0.14, left + size[0] * 0.42, bottom, _dim(pane, 1.3))
        if rng.random() < 0.35:
            draw.box(left, top, left + size[0] * 0.25, bottom, (214, 206, 192))
            draw.box(right - size[0] * 0.25, top, right, bottom, (214, 206, 192))
    draw.box(middle - 0.045, top, middle + 0.045, bottom, trim)
    draw.box(left, top + size[1] * 0.4, right, top + size[1] * 0.4 + 0.08, trim)
    draw.box(left - 0.2, bottom + 0.08, right + 0.2, bottom + 0.22, _dim(trim, 0.86))


def _door(draw: _Facade, middle: float, bottom: float, color: RGB, trim: RGB) -> None:
    draw.box(middle - 0.65, bottom - 2.35, middle + 0.65, bottom, trim)
    draw.box(middle - 0.5, bottom - 2.2, middle + 0.5, bottom, color)
    draw.box(middle - 0.36, bottom - 2.0, middle + 0.36, bottom - 1.3, _dim(color, 0.6))
    draw.box(middle - 0.8, bottom - 0.16, middle + 0.8, bottom, (150, 146, 140))


def _shop(
    draw: _Facade,
    length: float,
    bottom: float,
    floor: float,
    mood: Mood,
    look: np.random.Generator,
    rng: np.random.Generator,
) -> None:
    awning = _AWNINGS[int(look.integers(len(_AWNINGS)))]
    draw.box(0, bottom - floor, length, bottom, _dim(awning, 0.45))
    count = max(1, int(length / 3.4))
    step = length / count
    for index in range(count):
        left, right = index * step + 0.25, (index + 1) * step - 0.25
        lit = mood.night > 0.25
        dark = _dim((86, 104, 116), float(rng.uniform(0.9, 1.2)))
        pane, alpha = ((255, 220, 156), 0) if lit else (dark, 255)
        draw.box(left, bottom - 2.5, right, bottom - 0.4, pane, alpha)
        draw.box(left, bottom - 1.1, right, bottom - 0.4, _dim(pane, 0.72), alpha)
        draw.box(
            left + (right - left) * 0.1,
            bottom - 2.5,
            left + (right - left) * 0.3,
            bottom - 1.1,
            _dim(pane, 1.2),
            alpha,
        )
    stripes = max(2, int(length / 0.45))
    for index in range(stripes):
        color = awning if index % 2 else (240, 234, 222)
        draw.box(
            index * length / stripes,
            bottom - 2.95,
            (index + 1) * length / stripes,
            bottom - 2.3,
            color,
        )
    draw.box(0.2, bottom - floor + 0.05, length - 0.2, bottom - 2.95, _dim(awning, 0.75))


def draw_roof(
    length_m: float, slope_m: float, scale: float, over_m: float, building: Building
) -> Image.Image:
    """Returns an RGBA texture of a tiled roof slope."""
    rng = np.random.default_rng([building.seed, 2])
    color = _ROOFS[int(rng.integers(len(_ROOFS)))]
    width = max(2, round((length_m + 2 * over_m) * scale))
    height = max(2, round(slope_m * scale))
    rows, columns = max(2, int(slope_m / 0.4)), max(2, int(length_m / 0.45))
    tint = rng.integers(-14, 15, (rows, columns, 1)) + np.array(color)
    cells = Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8))
    image = cells.resize((width, height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    if scale * 0.4 > 4:
        for row in range(1, rows):
            y = round(row * height / rows)
            draw.line((0, y, width, y), fill=_dim(color, 0.74))
    draw.rectangle((0, height - max(1, round(0.2 * scale)), width, height), fill=_dim(color, 0.55))
    image.putalpha(255)
    return image
