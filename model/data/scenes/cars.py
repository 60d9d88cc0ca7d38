"""Cars: a side profile extruded across the car's width, seen in true perspective."""

from __future__ import annotations

import math

import numpy as np

from .camera import Camera, Point2, Point3
from .canvas import CIRCLE, Brush
from .classes import RGB
from .mood import Mood
from .plan import Item

_PAINTS: list[RGB] = [
    (196, 38, 40),
    (36, 78, 158),
    (232, 232, 230),
    (44, 46, 52),
    (170, 176, 182),
    (232, 176, 44),
    (52, 122, 92),
    (214, 104, 44),
    (124, 176, 206),
    (122, 34, 52),
    (226, 212, 180),
]
_GLASS: RGB = (52, 68, 84)
_TYRE: RGB = (30, 30, 32)
_RIM: RGB = (176, 180, 184)

# (along, up) of the side view from the rear bumper over the roof to the front bumper.
_PROFILES: dict[str, list[Point2]] = {
    "sedan": [
        (-2.12, 0.30),
        (-2.18, 0.72),
        (-2.08, 0.98),
        (-1.5, 1.03),
        (-0.95, 1.44),
        (0.22, 1.46),
        (0.98, 1.0),
        (1.9, 0.86),
        (2.14, 0.62),
        (2.12, 0.30),
    ],
    "hatch": [
        (-1.9, 0.30),
        (-1.97, 0.80),
        (-1.85, 1.05),
        (-1.45, 1.5),
        (0.12, 1.53),
        (0.88, 1.04),
        (1.7, 0.9),
        (1.92, 0.62),
        (1.9, 0.30),
    ],
    "suv": [
        (-2.1, 0.36),
        (-2.17, 0.90),
        (-2.1, 1.15),
        (-1.85, 1.72),
        (0.2, 1.75),
        (0.95, 1.17),
        (1.9, 1.05),
        (2.14, 0.72),
        (2.1, 0.36),
    ],
    "van": [
        (-2.25, 0.34),
        (-2.3, 0.9),
        (-2.28, 1.15),
        (-2.18, 2.02),
        (0.95, 2.05),
        (1.72, 1.2),
        (2.15, 1.06),
        (2.3, 0.72),
        (2.26, 0.34),
    ],
}
CAR_HEIGHT_M = {"sedan": 1.46, "hatch": 1.53, "suv": 1.75, "van": 2.05}


class _Car:
    """The geometry of one car: local (across, up, along) to the canvas."""

    def __init__(self, camera: Camera, item: Item, rng: np.random.Generator) -> None:
        self.camera, self.item = camera, item
        self.sin = round(math.sin(item.heading_rad), 9)
        self.cos = round(math.cos(item.heading_rad), 9)
        self.profile = _PROFILES[item.variant]
        self.half_m = 0.90 if item.variant in ("suv", "van") else 0.86
        self.belt_m = {"sedan": 1.0, "hatch": 1.03, "suv": 1.15, "van": 1.15}[item.variant]
        self.top_m = CAR_HEIGHT_M[item.variant]
        self.paint = _PAINTS[int(rng.integers(len(_PAINTS)))]

    def world(self, across: float, up: float, along: float) -> Point3:
        """Returns camera coordinates of a point of the car."""
        return (
            self.item.x_m + across * self.cos + along * self.sin,
            up,
            self.item.z_m - across * self.sin + along * self.cos,
        )

    def half(self, up: float) -> float:
        """Returns half the car's width at a height: the cabin leans inwards."""
        lean = max(0.0, up - self.belt_m) / max(self.top_m - self.belt_m, 0.1)
        return self.half_m * (1 - 0.17 * lean)

    def flat(self, points: list[Point3]) -> list[Point2]:
        """Returns a polygon of car points on the canvas."""
        return self.camera.outline([self.world(*point) for point in points])


def draw_car(brush: Brush, camera: Camera, item: Item, mood: Mood) -> None:
    """Draws a car with its wheels, glass and lights."""
    rng = np.random.default_rng(item.seed)
    car = _Car(camera, item, rng)
    eye_across = -item.x_m * car.cos + item.z_m * car.sin
    eye_along = -item.x_m * car.sin - item.z_m * car.cos
    _underside(brush, car, eye_along)
    points = car.profile
    faces: list[tuple[float, int]] = []
    for index in range(len(points) - 1):
        (z0, y0), (z1, y1) = points[index], points[index + 1]
        toward = -(y1 - y0) * (eye_along - z0) + (z1 - z0) * (camera.height_m - y0)
        middle = ((z0 + z1) / 2 - eye_along) ** 2
        if toward > 0:
            faces.append((-middle, index))
    for _, index in sorted(faces):
        _strip(brush, car, index, mood)
    for side in (-1, 1):
        if side * eye_across > car.half_m * 0.95:
            _flank(brush, car, side, mood)


def _underside(brush: Brush, car: _Car, eye_along: float) -> None:
    """Draws the dark space between the wheels and the tyres seen end-on."""
    low, high = car.profile[0][0] + 0.25, car.profile[-1][0] - 0.25
    end = high if eye_along > 0 else low
    h = car.half_m - 0.04
    brush.outline(
        car.flat([(-h, 0.14, end), (h, 0.14, end), (h, 0.5, end), (-h, 0.5, end)]), (24, 24, 26)
    )
    axle = 1.3 if eye_along > 0 else -1.28
    toward = 1 if eye_along > 0 else -1
    for side in (-1, 1):
        outer, inner = side * h, side * (h - 0.24)
        # A tyre seen end-on: where it touches the ground, then its foremost line.
        for z, low in ((axle, 0.0), (axle + toward * 0.2, 0.06), (axle + toward * 0.33, 0.3)):
            brush.outline(
                car.flat([(outer, low, z), (inner, low, z), (inner, 0.5, z), (outer, 0.5, z)]),
                _TYRE,
            )


def _strip(brush: Brush, car: _Car, index: int, mood: Mood) -> None:
    """Draws one face across the car: bumper, boot, window, roof or bonnet."""
    (z0, y0), (z1, y1) = car.profile[index], car.profile[index + 1]
    a, b = car.half(y0), car.half(y1)
    length = ((z1 - z0) ** 2 + (y1 - y0) ** 2) ** 0.5
    upness = (z1 - z0) / length
    gain = 0.80 + 0.36 * max(0.0, upness)
    brush.outline(car.flat([(-a, y0, z0), (a, y0, z0), (b, y1, z1), (-b, y1, z1)]), car.paint, gain)

    def inset(lo: float, hi: float, x0: float, x1: float) -> list[Point3]:
        za, ya = z0 + (z1 - z0) * lo, y0 + (y1 - y0) * lo
        zb, yb = z0 + (z1 - z0) * hi, y0 + (y1 - y0) * hi
        wa, wb = a + (b - a) * lo, a + (b - a) * hi
        return [(x0 * wa, ya, za), (x1 * wa, ya, za), (x1 * wb, yb, zb), (x0 * wb, yb, zb)]

    glass = min(y0, y1) >= car.belt_m - 0.02 and abs(y1 - y0) > 0.3
    if glass:
        brush.outline(car.flat(inset(0.1, 0.9, -0.9, 0.9)), _GLASS)
        lo, hi = (0.1, 0.9)
        brush.outline(car.flat(inset(lo, hi, -0.75, -0.2)), (150, 176, 196), alpha=80)
        return
    last = len(car.profile) - 2
    if index in (0, last):
        lo, hi = (0.0, 0.45) if index == 0 else (0.55, 1.0)
        brush.outline(car.flat(inset(lo, hi, -1, 1)), (56, 58, 62), 0.9)
        mid = (0.5, 0.85) if index == 0 else (0.15, 0.5)
        brush.outline(car.flat(inset(*mid, -0.3, 0.3)), (236, 234, 220))
    if index == 0 or index == 1:
        red: RGB = (236, 44, 36) if mood.night < 0.3 else (255, 70, 60)
        for s in (-1, 1):
            span = (0.6, 1.0) if index == 0 else (0.0, 0.45)
            brush.outline(car.flat(inset(*span, s * 0.62, s * 0.97)), red, 1.1)
    if index in (last - 1, last):
        span = (0.55, 1.0) if index == last - 1 else (0.0, 0.3)
        for s in (-1, 1):
            brush.outline(car.flat(inset(*span, s * 0.55, s * 0.95)), (252, 248, 226), 1.2)
        if index == last:
            brush.outline(car.flat(inset(0.0, 0.16, -0.5, 0.5)), (40, 42, 46))


def _flank(brush: Brush, car: _Car, side: int, mood: Mood) -> None:
    """Draws the side: body, windows, door seams, handles and both wheels."""
    outline: list[Point3] = [(side * car.half(y), y, z) for z, y in car.profile]
    toward_sun = side * car.cos * mood.light_x
    gain = 0.94 + 0.1 * toward_sun
    brush.outline(car.flat(outline), car.paint, gain)
    low = [
        (side * car.half_m, 0.3, car.profile[0][0] + 0.05),
        (side * car.half_m, 0.3, car.profile[-1][0] - 0.05),
        (side * car.half_m, 0.42, car.profile[-1][0] - 0.02),
        (side * car.half_m, 0.42, car.profile[0][0] + 0.02),
    ]
    brush.outline(car.flat(low), (48, 50, 54))
    cabin = [(z, y) for z, y in car.profile if y >= car.belt_m - 0.06]
    rear_top, front_top = [p for p in cabin if p[1] > car.top_m - 0.06][:2]
    rear, front = rear_top[0] - 0.32, front_top[0] + 0.56
    sill, head = car.belt_m + 0.03, car.top_m - 0.1
    if car.item.variant == "van":
        rear, middle = front_top[0] - 0.7, front_top[0] - 0.65
        panes = [(middle, front)]
    else:
        middle = (rear + front) / 2 - 0.1
        panes = [(rear, middle - 0.04), (middle + 0.04, front)]
    for start, end in panes:
        lean0 = 0.3 if start == rear else 0.0
        lean1 = 0.46 if end == front else 0.0
        pane = [(start, sill), (end, sill), (end - lean1, head), (start + lean0, head)]
        brush.outline(car.flat([(side * car.half(y) * 1.002, y, z) for z, y in pane]), _GLASS)
        slice_ = [
            (start + (end - start) * 0.3, sill),
            (start + (end - start) * 0.5, sill),
            (start + (end - start) * 0.62, head),
            (start + (end - start) * 0.42, head),
        ]
        brush.outline(
            car.flat([(side * car.half(y), y, z) for z, y in slice_]), (160, 182, 200), alpha=90
        )
    for z in (middle,):
        seam = [(z - 0.015, 0.45), (z + 0.015, 0.45), (z + 0.015, sill), (z - 0.015, sill)]
        brush.outline(car.flat([(side * car.half_m, y, z) for z, y in seam]), car.paint, 0.5)
        handle = [
            (z - 0.32, sill - 0.14),
            (z - 0.14, sill - 0.14),
            (z - 0.14, sill - 0.1),
            (z - 0.32, sill - 0.1),
        ]
        brush.outline(car.flat([(side * car.half_m, y, z) for z, y in handle]), (40, 40, 44))
    for axle in (-1.28, 1.3):
        for radius, color in (
            (0.41, (24, 24, 26)),
            (0.34, _TYRE),
            (0.22, _RIM),
            (0.09, (80, 82, 86)),
        ):
            ring: list[Point3] = [
                (side * (car.half_m + 0.01), 0.34 + radius * s, axle + radius * c)
                for c, s in CIRCLE
            ]
            ring = [(x, max(0.0, y), z) for x, y, z in ring]
            if radius > 0.4:
                ring = [(x, max(0.3, y), z) for x, y, z in ring]
            brush.outline(car.flat(ring), color)


def footprint(camera: Camera, item: Item, grow_m: float = 0.0) -> list[Point3]:
    """Returns the ground rectangle under a car in camera coordinates."""
    car = _Car(camera, item, np.random.default_rng(0))
    half, length = car.half_m + grow_m, 2.1 + grow_m
    return [
        car.world(x, 0.0, z)
        for x, z in ((-half, -length), (half, -length), (half, length), (-half, length))
    ]
