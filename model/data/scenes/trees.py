"""Trees and bushes: a few leafy sprites per scene, scaled to where each tree stands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .camera import Camera
from .canvas import Canvas
from .classes import RGB, TREE
from .mood import Mood
from .plan import Item
from .textures import fractal_noise, vector

_LEAVES: list[list[RGB]] = [
    [(112, 158, 62), (136, 172, 84), (226, 176, 190)],
    [(66, 122, 54), (86, 138, 58), (54, 108, 60)],
    [(196, 122, 46), (178, 84, 44), (206, 164, 62), (112, 130, 58)],
    [(122, 112, 96), (112, 118, 98), (138, 124, 104)],
]
_CONIFER: RGB = (48, 92, 66)
_BARK: RGB = (96, 76, 58)

# Share of the sprite's width that one metre of the tree's height takes, by shape.
WIDTH_PER_HEIGHT = {"round": 0.82, "poplar": 0.36, "conifer": 0.52, "bush": 1.5}


class Forest:
    """Draws the sprites it needs once, then places them."""

    def __init__(self, mood: Mood, rng: np.random.Generator, height_px: int) -> None:
        self._mood, self._rng = mood, rng
        self._size = min(420, max(64, height_px // 4))
        self._sprites: dict[tuple[str, int], tuple[NDArray[np.float32], Image.Image]] = {}

    def paint(self, canvas: Canvas, camera: Camera, item: Item) -> None:
        """Draws one tree on both planes."""
        color, alpha = self._sprite(item.variant, item.seed % 2)
        foot_x, foot_y = camera.project((item.x_m, 0.0, item.z_m))
        scale = camera.focal_px / item.z_m
        height = max(2, round(item.height_m * scale))
        width = max(2, round(height * WIDTH_PER_HEIGHT[item.variant]))
        share = np.float32(self._mood.haze_share(item.z_m))
        gain = np.float32(0.92 + 0.16 * ((item.seed >> 3) % 16) / 16)
        seen = color * (vector(self._mood.light) * gain)
        seen += (vector(self._mood.haze) - seen) * share
        image = Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8))
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        mask = alpha.resize((width, height), Image.Resampling.BILINEAR)
        mask = mask.point([0] * 128 + [255] * 128)
        corner = (round(foot_x - width / 2), round(foot_y) - height)
        canvas.color.paste(image, corner, mask)
        canvas.label.paste(TREE + 1, corner, mask)

    def _sprite(self, shape: str, which: int) -> tuple[NDArray[np.float32], Image.Image]:
        key = (shape, which)
        if key not in self._sprites:
            self._sprites[key] = self._draw(shape)
        return self._sprites[key]

    def _draw(self, shape: str) -> tuple[NDArray[np.float32], Image.Image]:
        """Returns (H, W, 3) float32 surface colours and the mask of a tree of one shape."""
        height = self._size
        width = round(height * WIDTH_PER_HEIGHT[shape])
        blobs = _blobs(shape, self._rng)
        leaves = _LEAVES[self._mood.season]
        base = vector(leaves[int(self._rng.integers(len(leaves)))])
        if shape == "conifer":
            base = vector(_CONIFER)
        noise = fractal_noise(self._rng, (height, width), (9, max(4, 9 * width // height)), 4, 0.75)
        field, light = _crown(blobs, height, width, self._mood.light_x)
        crown = field + (noise - 0.5) * np.float32(1.5) > 0
        shade = np.float32(0.62) + light * np.float32(0.55) + (noise - 0.5) * np.float32(1.1)
        warm = vector((1.06, 1.03, 0.86)) - 1
        leaf = base * np.clip(shade, 0.3, 1.5)[..., None] * (1 + warm * light[..., None])
        trunk, mask = _trunk(shape, height, width, self._mood.light_x)
        color = np.where(crown[..., None], leaf, trunk)
        mask = np.where(crown, np.uint8(255), mask)
        return color.astype(np.float32), Image.fromarray(mask)


def _blobs(shape: str, rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    """Returns (x, y, rx, ry) of the crown's clumps; x, y in 0..1 of the sprite, y down."""
    if shape == "conifer":
        return [
            (0.5 + rng.uniform(-0.02, 0.02), 0.13 + 0.76 * k / 7, 0.11 + 0.33 * k / 7, 0.12)
            for k in range(8)
        ]
    if shape == "poplar":
        return [
            (0.5 + rng.uniform(-0.1, 0.1), 0.14 + 0.62 * k / 7, 0.24 + 0.14 * (k % 7 > 1), 0.13)
            for k in range(8)
        ]
    if shape == "bush":
        return [(x, 0.62 - rng.uniform(0, 0.14), 0.2, 0.34) for x in (0.2, 0.4, 0.6, 0.8)]
    blobs = [(0.5, 0.34, 0.32, 0.26)]
    for _ in range(10):
        x = rng.uniform(0.2, 0.8)
        y = rng.uniform(0.17, 0.58)
        blobs.append((x, y, rng.uniform(0.13, 0.2), rng.uniform(0.11, 0.16)))
    return sorted(blobs, key=lambda blob: blob[1])


def _crown(
    blobs: list[tuple[float, float, float, float]], height: int, width: int, light_x: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns (H, W) float32 depth inside the clumps (positive inside) and light in about 0..1."""
    ys = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    xs = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None, :]
    field = np.full((height, width), -1.0, np.float32)
    light = np.zeros((height, width), np.float32)
    for x, y, rx, ry in blobs:
        dx, dy = (xs - np.float32(x)) / np.float32(rx), (ys - np.float32(y)) / np.float32(ry)
        inside = 1 - dx * dx - dy * dy
        lit = 0.45 + 0.34 * np.float32(light_x) * dx - 0.42 * dy
        closer = inside > field
        if y > 0.2:
            closer |= inside > 0.12
        field = np.maximum(field, inside)
        light = np.where(closer, lit, light)
    return field, np.clip(light, 0, 1.1)


def _trunk(
    shape: str, height: int, width: int, light_x: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Returns (H, W, 3) bark and (H, W) uint8 mask of trunk and boughs."""
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    if shape != "bush":
        half = width * (0.045 if shape == "round" else 0.055)
        middle = width / 2
        draw.polygon(
            [
                (middle - half * 1.5, height),
                (middle - half, height * 0.8),
                (middle - half * 0.5, height * 0.4),
                (middle + half * 0.5, height * 0.4),
                (middle + half, height * 0.8),
                (middle + half * 1.5, height),
            ],
            fill=255,
        )
        if shape == "round":
            for side in (-1, 1):
                end = (middle + side * width * 0.24, height * 0.42)
                draw.line([(middle, height * 0.74), end], fill=255, width=max(1, round(half)))
    xs = (np.arange(width, dtype=np.float32) / width - 0.5) * np.float32(5 * light_x)
    shade = np.clip(1 + xs, 0.6, 1.3)[None, :, None]
    bark = (vector(_BARK) * shade).astype(np.float32)
    return np.broadcast_to(bark, (height, width, 3)), np.array(mask)


def paint_treeline(
    canvas: Canvas, camera: Camera, mood: Mood, height: float, rng: np.random.Generator
) -> None:
    """Paints the far row of trees that closes the view at the horizon."""
    tall = max(2, round(height * canvas.height_px))
    bottom = min(canvas.height_px, int(camera.horizon_px) + max(2, round(tall * 0.12)))
    top = max(0, bottom - tall * 2)
    shape = (max(2, (bottom - top) // canvas.factor), canvas.width_px // canvas.factor)
    if bottom - top < 2:
        return
    cells = max(6, 2 * shape[1] // shape[0])
    outline = fractal_noise(rng, (1, shape[1]), (1, cells), 4, 0.6)[0]
    noise = fractal_noise(rng, shape, (3, cells), 3, 0.7)
    rows = np.arange(shape[0], dtype=np.float32)[:, None] / shape[0]
    body = rows - (1 - (0.16 + 0.62 * outline))[None, :] + (noise - 0.5) * np.float32(0.12)
    leaves = _LEAVES[mood.season]
    colors = [vector(leaves[int(rng.integers(len(leaves)))]) * np.float32(0.85) for _ in "ab"]
    mix = np.clip((np.roll(outline, shape[1] // 3) - 0.4) * 5, 0, 1)[None, :, None]
    color = colors[0] + (colors[1] - colors[0]) * mix
    color = color * (0.75 + 0.9 * (noise - 0.5) - 0.5 * body + 0.1)[..., None]
    color = color * vector(mood.light)
    fog = np.float32(min(0.62, 0.16 + mood.haze_per_m * 26))
    color += (vector(mood.haze) - color) * fog
    image = Image.fromarray(np.clip(color, 0, 255).astype(np.uint8))
    mask = Image.fromarray(np.clip(body * 2000 + 128, 0, 255).astype(np.uint8))
    size = (canvas.width_px, bottom - top)
    image = image.resize(size, Image.Resampling.BILINEAR)
    mask = mask.resize(size, Image.Resampling.BILINEAR).point([0] * 128 + [255] * 128)
    canvas.color.paste(image, (0, top), mask)
    canvas.label.paste(TREE + 1, (0, top), mask)
