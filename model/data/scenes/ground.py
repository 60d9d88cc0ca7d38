"""The ground, shaded per pixel from its coordinates on the street; then water and shadows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .camera import Camera
from .canvas import Canvas, rounded
from .classes import GRASS, PAVEMENT, RGB, ROAD, WATER
from .mood import Mood
from .plan import Plan
from .textures import fraction, grain_tile, patch_tile, sine, vector

_ROADS: list[RGB] = [(92, 92, 98), (104, 103, 106), (80, 82, 90)]
_PAVEMENTS: list[RGB] = [(178, 172, 162), (190, 178, 160), (168, 164, 166), (186, 164, 146)]
_GRASSES: list[list[RGB]] = [
    [(108, 164, 66), (122, 172, 74)],
    [(92, 146, 58), (112, 152, 62)],
    [(130, 146, 68), (142, 142, 74)],
    [(146, 158, 122), (132, 146, 104)],
]

Field = NDArray[np.float32]

# Materials beyond the classes: paint on the road, the kerb stone, the gutter beside it.
_PAINT, _KERB, _GUTTER = 8, 9, 10


def paint_ground(
    canvas: Canvas, camera: Camera, plan: Plan, mood: Mood, rng: np.random.Generator
) -> None:
    """Paints every strip of the ground below the horizon, with its texture and markings."""
    top = max(0, math.ceil(camera.horizon_px))
    rows = np.arange(top, canvas.height_px, dtype=np.float32) + 0.5
    depth = camera.focal_px * camera.height_m / np.maximum(rows - camera.horizon_px, 0.25)
    depth = depth.astype(np.float32)[:, None]
    x = (np.arange(canvas.width_px, dtype=np.float32) + 0.5) - camera.center_x_px
    x = (x / np.float32(camera.focal_px))[None, :] * depth
    u, v = _street(plan, x, depth)
    kind = _strips(plan, u, v, depth)
    base, amounts = _materials(mood, rng)
    material = _mark_road(u, v, kind, plan)
    tone = _texture(u, v, depth, material, amounts, canvas.height_px, rng)
    _joint_slabs(tone, u, v, depth, material)
    share = 1 - 1 / (1 + depth * np.float32(mood.haze_per_m))
    tone *= 1 - share
    color = np.take(base, material, axis=0)
    color *= tone[..., None]
    color += (share * vector(mood.haze))[:, None, :]
    np.clip(color, 0, 255, out=color)
    canvas.color.paste(Image.fromarray(color.astype(np.uint8)), (0, top))
    canvas.label.paste(Image.fromarray((kind + 1).astype(np.uint8)), (0, top))


def _street(plan: Plan, x: Field, depth: Field) -> tuple[Field, Field]:
    """Returns street coordinates (u, v) of ground points in camera coordinates."""
    cos, sin = np.float32(plan.frame.cos), np.float32(plan.frame.sin)
    u, v = x * cos - depth * sin, x * sin + depth * cos
    if plan.frame.bend_per_m:
        bent = np.clip(v, 0, np.float32(plan.frame.bend_end_m))
        u = u - np.float32(plan.frame.bend_per_m) * bent * bent
    return u, v


def _strips(plan: Plan, u: Field, v: Field, depth: Field) -> NDArray[np.uint8]:
    """Returns the class index of every ground pixel."""
    wavy: Field = u
    if plan.wobble_m:
        waves = sine(v * np.float32(0.021)) + 0.5 * sine(v * np.float32(0.067) + np.float32(0.3))
        wavy = (u + np.float32(plan.wobble_m) * waves).astype(np.float32)
    strip = np.zeros(u.shape, np.uint8)
    natural = (GRASS, WATER)
    for index, edge in enumerate(plan.edges_m):
        pair = plan.strips[index], plan.strips[index + 1]
        soft = plan.wobble_m and pair[0] in natural and pair[1] in natural
        strip += (wavy if soft else u) > np.float32(edge)
    kind = np.array(plan.strips, np.uint8)[strip]
    if plan.far_m < 1e8:
        far = depth > np.float32(plan.far_m)
        kind = np.where(far, np.uint8(plan.far_class), kind).astype(np.uint8)
    return kind


def _materials(mood: Mood, rng: np.random.Generator) -> tuple[Field, Field]:
    """Returns (11, 3) lit colours and (11, 2) amounts of fine and coarse texture by material."""
    base = np.zeros((11, 3), np.float32)
    amounts = np.zeros((11, 2), np.float32)
    wet = 1 - 0.25 * mood.wet
    base[ROAD] = vector(_ROADS[int(rng.integers(3))]) * wet
    base[PAVEMENT] = vector(_PAVEMENTS[int(rng.integers(4))]) * (1 - 0.12 * mood.wet)
    base[GRASS] = _GRASSES[mood.season][int(rng.integers(2))]
    base[WATER] = (52, 96, 124)
    amounts[ROAD], amounts[PAVEMENT] = (0.10, 0.07), (0.06, 0.05)
    amounts[GRASS] = (0.24, 0.16)
    worn = np.float32(0.78 + 0.15 * rng.random())
    base[_PAINT] = base[ROAD] + (vector((232, 230, 220)) - base[ROAD]) * worn
    base[_KERB] = base[PAVEMENT] * np.float32(0.4) + vector((206, 204, 198)) * np.float32(0.6)
    base[_GUTTER] = base[ROAD] * np.float32(0.82)
    amounts[[_PAINT, _KERB, _GUTTER]] = (0.06, 0.05)
    return base * vector(mood.light), amounts


def _texture(
    u: Field,
    v: Field,
    depth: Field,
    kind: NDArray[np.uint8],
    amounts: Field,
    height_px: int,
    rng: np.random.Generator,
) -> Field:
    """Returns the ground's brightness factor from fine grain (near) and soft patches."""
    fine, coarse = grain_tile(rng), patch_tile(rng)
    per_m = np.float32(min(200.0, max(14.0, 0.11 * height_px)))
    iu, iv = (u * per_m).astype(np.int32), (v * (per_m * np.float32(0.6))).astype(np.int32)
    near = np.clip(1.25 - depth / 22, 0.25, 1)
    tone = fine.ravel().take(((iv & 255) << 8) | (iu & 255))
    tone *= near * amounts[:, 0].take(kind)
    iu, iv = (u * np.float32(15)).astype(np.int32), (v * np.float32(9)).astype(np.int32)
    tone += coarse.ravel().take(((iv & 255) << 8) | (iu & 255)) * amounts[:, 1].take(kind)
    tone += 1
    return tone


def _joint_slabs(tone: Field, u: Field, v: Field, depth: Field, kind: NDArray[np.uint8]) -> None:
    """Darkens `tone` along the joints between the slabs of the pavement."""
    first = int(np.searchsorted(-depth[:, 0], -28.0))
    u, v, depth = u[first:], v[first:], depth[first:]
    paved = kind[first:] == PAVEMENT
    if not paved.any():
        return
    joint = np.float32(0.03) + depth * np.float32(0.0012)
    fade = np.clip(1.15 - depth / 26, 0, 1) * np.float32(0.2)
    along = v * np.float32(1.25)
    row = np.floor(along)
    across = fraction(u * np.float32(1.25) + row * np.float32(0.5))
    lines = ((across < joint) | (along - row < joint)) & paved
    tone[first:] *= 1 - fade * lines


def _mark_road(u: Field, v: Field, kind: NDArray[np.uint8], plan: Plan) -> NDArray[np.uint8]:
    """Returns the materials: the classes, with lane lines, zebra crossings, kerbs and gutters."""
    material = kind.copy()
    road = kind == ROAD
    if not road.any():
        return material
    paint = np.zeros(u.shape, bool)
    for lane_u, width, period in plan.lanes:
        line = np.abs(u - np.float32(lane_u)) < np.float32(width / 2)
        if period:
            line &= fraction(v * np.float32(1 / period)) < np.float32(0.5)
        paint |= line
    for start in plan.crossing_v_m:
        band = (v > np.float32(start)) & (v < np.float32(start + 3.2))
        paint &= ~((v > np.float32(start - 1)) & (v < np.float32(start + 4.2)))
        paint |= band & (fraction(u * np.float32(1 / 1.1)) < np.float32(0.5))
    np.putmask(material, paint & road, _PAINT)
    for edge, left, right in zip(plan.edges_m, plan.strips[:-1], plan.strips[1:], strict=True):
        if {left, right} == {ROAD, PAVEMENT}:
            close = np.abs(u - np.float32(edge)) < np.float32(0.2)
            np.putmask(material, close & road, _GUTTER)
            np.putmask(material, close & (kind == PAVEMENT), _KERB)
    return material


def reflect_in_water(canvas: Canvas, camera: Camera, mood: Mood, rng: np.random.Generator) -> None:
    """Lets the water mirror what already stands on the canvas above the horizon, in ripples."""
    top = max(0, math.ceil(camera.horizon_px))
    water = np.asarray(canvas.label)[top:] == WATER + 1
    found_y, found_x = np.flatnonzero(water.any(1)), np.flatnonzero(water.any(0))
    if not len(found_y):
        return
    first, last = top + int(found_y[0]), top + int(found_y[-1]) + 1
    left, right = int(found_x[0]), int(found_x[-1]) + 1
    water = water[first - top : last - top, left:right]
    color = np.asarray(canvas.color)
    height, width = color.shape[:2]
    rows = np.arange(first, last, dtype=np.float32)[:, None] - np.float32(camera.horizon_px)
    depth = np.float32(camera.focal_px * camera.height_m) / np.maximum(rows, 0.5)
    columns = np.arange(left, right, dtype=np.float32)[None, :]
    x = (columns - camera.center_x_px) / camera.focal_px
    x = x.astype(np.float32) * depth
    tile = patch_tile(rng)
    wave = tile[
        (depth * np.float32(60)).astype(np.int32) & 255, (x * np.float32(11)).astype(np.int32) & 255
    ]
    wave += 0.6 * sine(depth * np.float32(0.33) + x * np.float32(0.03) + wave * 0.3)
    shift = rows * (0.16 * wave) + wave * np.float32(height * 0.006)
    source_y = np.clip(camera.horizon_px - rows * np.float32(0.9) + shift, 0, top - 1)
    column = columns + wave * np.float32(width * 0.006)
    source_x = np.clip(column, 0, width - 1).astype(np.int32)
    mirrored = color[source_y.astype(np.int32), source_x].astype(np.float32)
    near = np.clip(rows / np.float32(height * 0.5), 0, 1)
    deep = vector((38, 86, 112)) * vector(mood.light)
    share = (0.80 - 0.38 * near)[..., None]
    mixed = deep + (mirrored * vector((0.86, 0.94, 0.98)) - deep) * share
    mixed *= (1 + 0.10 * wave * (0.4 + near))[..., None]
    result = Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
    canvas.color.paste(result, (left, first), Image.fromarray(water))


class Shadows:
    """Collects shadow polygons and darkens the ground by all of them at once."""

    def __init__(self, canvas: Canvas) -> None:
        self._scale = 1 / canvas.factor
        size = (canvas.width_px // canvas.factor, canvas.height_px // canvas.factor)
        self._plane = Image.new("L", size)
        self._draw = ImageDraw.Draw(self._plane)

    def add(self, outline: list[tuple[float, float]], strength: int = 255) -> None:
        """Adds a polygon in canvas pixels."""
        if len(outline) >= 3:
            scaled = [(x * self._scale, y * self._scale) for x, y in rounded(outline)]
            self._draw.polygon(scaled, fill=strength)

    def apply(self, canvas: Canvas, camera: Camera, mood: Mood) -> None:
        """Darkens the ground; the water keeps half of its light more than solid ground."""
        top = min(canvas.height_px - 1, max(0, math.ceil(camera.horizon_px)))
        soft = self._plane.filter(ImageFilter.GaussianBlur(max(0.6, canvas.height_px / 420)))
        soft = soft.resize(canvas.color.size, Image.Resampling.BILINEAR)
        weight = [0] * 256
        weight[ROAD + 1] = weight[PAVEMENT + 1] = weight[GRASS + 1] = 255
        weight[WATER + 1] = 115
        area = (0, top, canvas.width_px, canvas.height_px)
        ground = canvas.label.crop(area).point(weight)
        mask = ImageChops.multiply(soft.crop(area), ground)
        color = canvas.color.crop(area)
        table = [
            round(value * (1 - mood.shadow * channel))
            for channel in (1.0, 0.94, 0.84)
            for value in range(256)
        ]
        canvas.color.paste(color.point(table), (0, top), mask)
