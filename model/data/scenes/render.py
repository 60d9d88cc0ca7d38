"""Draws a planned scene from back to front and reads the exact ground truth off the canvas."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..example import Example, ExampleSegment
from .backdrop import paint_mountains, paint_sky
from .boats import draw_boat, reflect_boat
from .buildings import paint_buildings
from .camera import Camera, Point2
from .canvas import Brush, Canvas, Placement, Tint
from .cars import draw_car, footprint
from .classes import BICYCLE, BOAT, CAR, LAMP, PERSON, RGB, SIGN, TREE
from .furniture import draw_lamp, draw_sign
from .ground import Shadows, paint_ground, reflect_in_water
from .layout import make_plan
from .lens import develop
from .mood import Mood, sample_mood
from .people import draw_bicycle, draw_person, draw_rider
from .plan import Item, Plan
from .trees import Forest, paint_treeline

MIN_SIDE_PX, MAX_SIDE_PX = 32, 4096

# Above this many output pixels the canvas is not oversampled: edges are fine enough, memory counts.
_OVERSAMPLED_PX = 6_000_000
_FIRST_THING_ID = 9


def draw_scene(seed: int, height_px: int, width_px: int) -> Example:
    """Draws one street or landscape scene with exact panoptic ground truth.

    The same arguments give the same pixels in every process; nothing is kept between calls. A
    seed at another size of the same aspect shows the same scene at another resolution.

    Ground truth: every pixel carries what is drawn nearest to the camera at it. Shadows, glow and
    reflections do not change a label. A lamp or sign includes its pole, a bicycle the whole discs
    of its wheels. A thing is left unlabelled (0) where too little of it can be seen to be named:
    fewer than 24 px or 0.04 % of the picture, or less than 12 % of its own silhouette.

    Args:
        seed: Which scene, 0 or more.
        height_px: Height of the picture, 32 to 4096 px.
        width_px: Width of the picture, 32 to 4096 px.

    Returns:
        The picture with one segment per visible thing and one per visible stuff class; stuff of
        class c has id c + 1, things count on from 9 from far to near.

    Raises:
        ValueError: An argument is not an integer or out of its range.
    """
    seed = _checked("seed", seed, 0, None)
    height_px = _checked("height_px", height_px, MIN_SIDE_PX, MAX_SIDE_PX)
    width_px = _checked("width_px", width_px, MIN_SIDE_PX, MAX_SIDE_PX)
    mood = sample_mood(np.random.default_rng([seed, 10]))
    plan = make_plan(seed, width_px / height_px, mood)
    factor = 2 if height_px * width_px <= _OVERSAMPLED_PX else 1
    canvas = Canvas(height_px, width_px, factor)
    camera = plan.view.camera(canvas.height_px, canvas.width_px)
    _paint_stuff(canvas, camera, plan, mood, seed)
    kinds, areas, glows = _paint_items(canvas, camera, plan, mood, seed)
    picture, label = canvas.reduced()
    image = develop(picture, glows, mood, np.random.default_rng([seed, 30]))
    return _example(image, label, kinds, areas)


def _checked(name: str, value: object, low: int, high: int | None) -> int:
    """Returns `value` as an int, refusing anything that is not one in low..high."""
    span = f"an integer from {low} to {high}" if high is not None else f"an integer >= {low}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"expected {name} to be {span}, got {value!r}")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"expected {name} to be {span}, got {number}")
    return number


def _paint_stuff(canvas: Canvas, camera: Camera, plan: Plan, mood: Mood, seed: int) -> None:
    """Paints everything behind the things, and all shadows on the ground."""
    streams = [np.random.default_rng([seed, 20 + k]) for k in range(5)]
    paint_sky(canvas, camera, mood, streams[0])
    if plan.mountains:
        paint_mountains(canvas, camera, mood, plan.mountains, streams[1])
    paint_ground(canvas, camera, plan, mood, streams[2])
    if plan.treeline:
        paint_treeline(canvas, camera, mood, plan.treeline, streams[3])
    shadows = Shadows(canvas)
    paint_buildings(canvas, camera, plan, mood, shadows)
    reflect_in_water(canvas, camera, mood, streams[4])
    for item in plan.items:
        _cast_shadow(shadows, camera, item, mood)
    shadows.apply(canvas, camera, mood)


def _cast_shadow(shadows: Shadows, camera: Camera, item: Item, mood: Mood) -> None:
    """Adds the shadow of an item: a dark place beneath it and its shape along the light."""
    x, z, h = item.x_m, item.z_m, item.height_m
    dx, dz = mood.cast

    def ground(points: list[Point2]) -> list[Point2]:
        return camera.outline([(a, 0.0, b) for a, b in points])

    def ellipse(cx: float, cz: float, rx: float, rz: float) -> list[Point2]:
        turns = [k * math.pi / 8 for k in range(16)]
        return ground([(cx + rx * math.cos(t), cz + rz * math.sin(t)) for t in turns])

    if item.kind == CAR:
        base = footprint(camera, item, 0.05)
        shifted = [(p[0] + dx * h * 0.8, p[2] + dz * h * 0.8) for p in base]
        flat = [(p[0], p[2]) for p in base]
        shadows.add(ground(_hull(flat + shifted)), 235)
        shadows.add(ground(flat), 255)
    elif item.kind == TREE:
        wide = item.width_m * 0.42
        shadows.add(
            ground(
                [
                    (x - 0.15, z),
                    (x + 0.15, z),
                    (x + 0.15 + dx * h * 0.5, z + dz * h * 0.5),
                    (x - 0.15 + dx * h * 0.5, z + dz * h * 0.5),
                ]
            ),
            220,
        )
        crown = ellipse(x + dx * h * 0.62, z + dz * h * 0.62, wide + abs(dx) * h * 0.18, wide)
        shadows.add(crown, 220)
        shadows.add(ellipse(x, z, wide * 0.4, wide * 0.2), 140)
    elif item.kind != BOAT:
        half = {PERSON: 0.2, BICYCLE: 0.1, LAMP: 0.07, SIGN: 0.06}[item.kind]
        end = (x + dx * h, z + dz * h)
        shadows.add(
            ground(
                [(x - half, z), (x + half, z), (end[0] + half, end[1]), (end[0] - half, end[1])]
            ),
            215,
        )
        wide = 0.75 if item.kind == BICYCLE else half * 1.5
        shadows.add(ellipse(x, z, wide, half * 1.1), 235)


def _hull(points: list[Point2]) -> list[Point2]:
    """Returns the convex hull, counter-clockwise."""
    ordered = sorted(points)

    def half(sequence: list[Point2]) -> list[Point2]:
        chain: list[Point2] = []
        for p in sequence:
            while (
                len(chain) > 1
                and (
                    (chain[-1][0] - chain[-2][0]) * (p[1] - chain[-2][1])
                    - (chain[-1][1] - chain[-2][1]) * (p[0] - chain[-2][0])
                )
                <= 0
            ):
                chain.pop()
            chain.append(p)
        return chain[:-1]

    return half(ordered) + half(ordered[::-1])


def _paint_items(
    canvas: Canvas, camera: Camera, plan: Plan, mood: Mood, seed: int
) -> tuple[dict[int, int], dict[int, int], list[tuple[Point2, float]]]:
    """Paints things and trees from far to near.

    Returns:
        The class and the full silhouette's area in output px of every thing by id, and the
        centre and radius in output px of every shining lamp.
    """
    forest = Forest(mood, np.random.default_rng([seed, 25]), canvas.height_px)
    kinds: dict[int, int] = {}
    areas: dict[int, int] = {}
    glows: list[tuple[Point2, float]] = []
    next_id = _FIRST_THING_ID
    for item in sorted(plan.items, key=lambda item: -item.z_m):
        if item.kind == TREE:
            forest.paint(canvas, camera, item)
            continue
        for kind, brush in _draw_item(canvas, camera, item, mood, glows):
            areas[next_id] = brush.commit(next_id)
            kinds[next_id] = kind
            next_id += 1
    return kinds, areas, glows


def _draw_item(
    canvas: Canvas, camera: Camera, item: Item, mood: Mood, glows: list[tuple[Point2, float]]
) -> list[tuple[int, Brush]]:
    """Draws one item; returns its class and brush, two of them for a ridden bicycle."""
    scale = camera.focal_px / item.z_m

    def tint(color: RGB, gain: float) -> RGB:
        return mood.tone(color, item.z_m, gain)

    upright = _upright(camera, item)
    if item.kind == CAR:
        brush = Brush(canvas, upright, tint)
        draw_car(brush, camera, item, mood)
        return [(CAR, brush)]
    if item.kind == BICYCLE:
        return _draw_bicycle(canvas, camera, item, tint, mood)
    brush = Brush(canvas, upright, tint)
    if item.kind == PERSON:
        draw_person(brush, item)
        brush.relief(mood.light_x, 0.42, 0.09 * scale)
    elif item.kind == LAMP:
        for center, radius in draw_lamp(brush, item, mood):
            place = (center[0] / canvas.factor, center[1] / canvas.factor)
            glows.append((place, radius * scale / canvas.factor))
        brush.relief(mood.light_x, 0.3, 0.06 * scale)
    elif item.kind == SIGN:
        draw_sign(brush, item)
        brush.relief(mood.light_x, 0.12, 0.05 * scale)
    else:
        draw_boat(brush, item)
        brush.relief(mood.light_x, 0.25, 0.25 * scale)
        reflect_boat(brush, upright(0.0, 0.0)[1], item.height_m * scale)
    return [(item.kind, brush)]


def _upright(camera: Camera, item: Item) -> Placement:
    """Returns the placement of a flat object that faces the camera."""

    def place(x: float, y: float) -> Point2:
        return camera.project((item.x_m + x, y, item.z_m))

    return place


def _draw_bicycle(
    canvas: Canvas, camera: Camera, item: Item, tint: Tint, mood: Mood
) -> list[tuple[int, Brush]]:
    """Draws a bicycle in its own plane, never quite end-on, and its rider."""
    rng = np.random.default_rng([item.seed, 3])
    turn = float(rng.uniform(-0.75, 0.75))
    flip = 1.0 if rng.random() < 0.5 else -1.0
    cos, sin = flip * round(math.cos(turn), 9), round(math.sin(turn), 9)

    def place(x: float, y: float) -> Point2:
        return camera.project((item.x_m + x * cos, y, item.z_m + x * sin))

    scale = camera.focal_px / item.z_m
    bicycle = Brush(canvas, place, tint)
    draw_bicycle(bicycle, item)
    if item.variant != "ridden":
        return [(BICYCLE, bicycle)]
    rider = Brush(canvas, place, tint)
    draw_rider(rider, item)
    rider.relief(mood.light_x, 0.4, 0.09 * scale)
    return [(BICYCLE, bicycle), (PERSON, rider)]


def _example(
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
    kinds: dict[int, int],
    areas: dict[int, int],
) -> Example:
    """Returns the example, with things that can hardly be seen left unlabelled."""
    seen = np.bincount(label.ravel(), minlength=256)
    least = max(24, math.ceil(0.0004 * label.size))
    keep = np.arange(256, dtype=np.int32)
    segments: list[ExampleSegment] = []
    for index in range(256):
        if not seen[index] or index == 0:
            continue
        if index < _FIRST_THING_ID:
            segments.append(ExampleSegment(index, index - 1))
        elif seen[index] < least or seen[index] < 0.12 * areas[index]:
            keep[index] = 0
        else:
            segments.append(ExampleSegment(index, kinds[index]))
    return Example(image=image, panoptic=keep[label], segments=tuple(segments))
