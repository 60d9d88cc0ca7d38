"""Sky with sun and clouds, and mountains at the horizon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .camera import Camera
from .canvas import Canvas
from .classes import MOUNTAIN, RGB, SKY
from .mood import Mood
from .textures import fractal_noise, ridge, shifted, vector


def paint_sky(canvas: Canvas, camera: Camera, mood: Mood, rng: np.random.Generator) -> None:
    """Paints the sky over the whole canvas; later stages cover what lies below the horizon."""
    height = max(2, round(camera.horizon_px / canvas.factor) + 2)
    width = canvas.width_px // canvas.factor
    down = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None, None]
    mix = down * np.sqrt(down)
    top, low = vector(mood.sky_top), vector(mood.sky_low)
    sky = np.broadcast_to(top + (low - top) * mix, (height, width, 3)).astype(np.float32)
    glow, disc = _sun_glow(height, width, mood)
    sky += (vector(mood.sun) - sky) * glow[..., None]
    sky += (vector(mood.sun) * 0.3 + 178 - sky) * disc[..., None]
    _add_clouds(sky, mood, rng)
    image = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    if canvas.factor > 1:
        image = image.resize((canvas.width_px, height * canvas.factor), Image.Resampling.BILINEAR)
    canvas.color.paste(mood.haze, (0, 0, canvas.width_px, canvas.height_px))
    canvas.color.paste(image, (0, 0))
    canvas.label.paste(SKY + 1, (0, 0, canvas.width_px, canvas.height_px))


def _sun_glow(
    height: int, width: int, mood: Mood
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns (H, W) float32 shares of the sun's glow and of its disc."""
    sun_x, sun_y = mood.sun_xy[0] * width, mood.sun_xy[1] * height
    unit = float(height + width) / 2
    dx = ((np.arange(width, dtype=np.float32) + 0.5) - sun_x) / unit
    dy = ((np.arange(height, dtype=np.float32) + 0.5) - sun_y) / unit
    squared = dx[None, :] ** 2 + dy[:, None] ** 2
    wide = 0.75 / (1 + squared * 60)
    tight = 0.35 / (1 + squared * 700)
    seen = 1.0 if mood.sun_glow > 0.5 else 0.0
    disc = np.clip((0.0009 - squared) * 3200, 0, 1) * seen
    glow = np.clip((wide + tight) * mood.sun_glow, 0, 1)
    return glow.astype(np.float32), disc.astype(np.float32)


def _add_clouds(sky: NDArray[np.float32], mood: Mood, rng: np.random.Generator) -> None:
    """Blends clouds into (H, W, 3) float32 sky, lit from the sun's side, flatter far away."""
    height, width = sky.shape[:2]
    cells = (3, max(2, round(3 * width / max(height, 1) * 0.6)))
    noise = fractal_noise(rng, (height, width), cells, 5, 0.52)
    step = max(1, width // 60)
    lit = noise - shifted(noise, 0, -step if mood.light_x > 0 else step)
    lit += 0.7 * (noise - shifted(noise, step, 0))
    threshold = 0.66 - 0.32 * mood.cover
    dense = np.clip((noise - threshold) * 5.5, 0, 1)
    dense = dense * dense * (3 - 2 * dense)
    gain = np.clip(0.93 + lit * 1.5, 0.72, 1.1)
    cloud = vector(mood.cloud) * gain[..., None]
    share = dense * np.float32(0.55 + 0.4 * (1 - mood.cover * 0.3))
    fade = np.clip((1 - np.arange(height, dtype=np.float32) / height) * 3.0, 0.15, 1)
    sky += (cloud - sky) * (share * fade[:, None])[..., None]


def paint_mountains(
    canvas: Canvas,
    camera: Camera,
    mood: Mood,
    heights: tuple[float, ...],
    rng: np.random.Generator,
) -> None:
    """Paints ranges from far to near; `heights` are in shares of the picture's height."""
    palettes: list[RGB] = [(112, 120, 140), (98, 110, 118), (88, 104, 96)]
    for order, height in enumerate(heights):
        nearness = (order + 1) / len(heights)
        base = palettes[int(rng.integers(3))]
        _paint_range(canvas, camera, mood, base, height, 0.62 - 0.32 * nearness, rng)


def _paint_range(
    canvas: Canvas,
    camera: Camera,
    mood: Mood,
    base: RGB,
    height: float,
    haze: float,
    rng: np.random.Generator,
) -> None:
    line = ridge(rng, 8, 0.52)
    tall_px = height * canvas.height_px
    bottom = min(canvas.height_px, int(camera.horizon_px) + 2)
    columns = np.linspace(0, canvas.width_px, len(line))
    tops = camera.horizon_px - tall_px * (0.3 + 0.7 * line)
    top = max(0, int(tops.min()))
    shape = (max(2, (bottom - top) // canvas.factor), canvas.width_px // canvas.factor)
    noise = fractal_noise(rng, shape, (3, max(3, 5 * shape[1] // shape[0])), 4, 0.6)
    step = max(1, shape[1] // 200)
    slope = noise - shifted(noise, step, step if mood.light_x < 0 else -step)
    per_column = np.interp(np.linspace(0, len(line) - 1, shape[1]), np.arange(len(line)), line)
    reach = max(1, shape[1] // 90)
    across = (np.roll(per_column, reach) - np.roll(per_column, -reach)).astype(np.float32)
    row = np.arange(shape[0])[:, None]
    lean = ((noise - 0.5) * shape[0] * 0.9).astype(np.int64) + row // 2
    folds = across[(np.arange(shape[1])[None, :] + lean) % shape[1]]
    facet = 1 + 1.8 * slope + 1.5 * mood.light_x * folds
    rows = top + row.astype(np.float32)[:, 0] * canvas.factor
    altitude = (camera.horizon_px - rows)[:, None] / tall_px
    winter = mood.season == 3
    snow = np.clip((altitude - (0.3 if winter else 0.66) + (noise - 0.5) * 0.5) * 9, 0, 1)
    rock = vector(base) + (vector((236, 240, 246)) - vector(base)) * snow[..., None]
    green = np.clip((0.4 - altitude + (noise - 0.5) * 0.5) * 4, 0, 1) * (0.3 if winter else 0.6)
    rock += (vector((84, 112, 72)) - rock) * green[..., None]
    lit = rock * vector(mood.light) * np.clip(facet, 0.55, 1.3)[..., None]
    fog = np.clip(haze + 0.25 * (1 - altitude), 0, 0.85)[..., None] + mood.haze_per_m * 6
    lit += (vector(mood.haze) - lit) * np.clip(fog, 0, 0.86)
    image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    image = image.resize((canvas.width_px, bottom - top), Image.Resampling.BILINEAR)
    outline = [(float(x), float(y)) for x, y in zip(columns, tops, strict=True)]
    mask = _polygon_mask(canvas, outline, top, bottom)
    canvas.color.paste(image, (0, top), mask)
    canvas.label.paste(MOUNTAIN + 1, (0, top), mask)


def _polygon_mask(
    canvas: Canvas, outline: list[tuple[float, float]], top: int, bottom: int
) -> Image.Image:
    mask = Image.new("L", (canvas.width_px, bottom - top))
    points = [(x, y - top) for x, y in outline]
    points += [(canvas.width_px, bottom - top), (0, bottom - top)]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return mask
