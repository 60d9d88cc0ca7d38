"""Buildings: boxes whose walls and roofs carry textures in true perspective."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from .camera import Camera, Point2, Point3
from .canvas import Canvas, rounded
from .classes import BUILDING
from .facades import draw_facade, draw_roof
from .ground import Shadows
from .mood import Mood
from .plan import Building, Plan


def paint_buildings(
    canvas: Canvas, camera: Camera, plan: Plan, mood: Mood, shadows: Shadows
) -> None:
    """Paints all buildings from far to near and adds their shadows."""
    frame = plan.frame

    def depth(building: Building) -> float:
        middle = (building.v0_m + building.v1_m) / 2
        u = building.u_m + building.side * building.depth_m / 2
        x, z = frame.to_camera(u, middle)
        return math.hypot(x, z)

    for building in sorted(plan.buildings, key=depth, reverse=True):
        _paint_building(canvas, camera, plan, building, mood, shadows)


def _paint_building(
    canvas: Canvas, camera: Camera, plan: Plan, building: Building, mood: Mood, shadows: Shadows
) -> None:
    near_u, far_u = building.u_m, building.u_m + building.side * building.depth_m
    corner = {
        (a, b): plan.frame.to_camera(u, v)
        for a, u in ((0, near_u), (1, far_u))
        for b, v in ((0, building.v0_m), (1, building.v1_m))
    }
    rng = np.random.default_rng(building.seed)
    paint = _Painter(canvas, camera, building, mood, rng)
    walls = [((0, 0), (0, 1)), ((0, 0), (1, 0)), ((0, 1), (1, 1))]
    paint.roof(corner)
    ranked = sorted(
        walls, key=lambda wall: -sum(corner[k][0] ** 2 + corner[k][1] ** 2 for k in wall)
    )
    for start, end in ranked:
        facade = start[0] == end[0]
        opposite = (1 - start[0], start[1]) if facade else (0, 1 - start[1])
        paint.wall(corner[start], corner[end], corner[opposite], facade)
    for start, end in walls:
        a, b = corner[start], corner[end]
        dx, dz = mood.cast[0] * building.height_m, mood.cast[1] * building.height_m
        shadows.add(
            camera.outline(
                [
                    (a[0], 0, a[1]),
                    (b[0], 0, b[1]),
                    (b[0] + dx, 0, b[1] + dz),
                    (a[0] + dx, 0, a[1] + dz),
                ]
            ),
            215,
        )


class _Painter:
    """Paints the parts of one building."""

    def __init__(
        self,
        canvas: Canvas,
        camera: Camera,
        building: Building,
        mood: Mood,
        rng: np.random.Generator,
    ) -> None:
        self.canvas, self.camera, self.building = canvas, camera, building
        self.mood, self.rng = mood, rng
        self.roof_rise_m = 0.0 if building.roof == "flat" else building.depth_m * 0.36

    def _gain(self, normal_x: float, normal_z: float) -> float:
        """Returns the light on an upright wall facing (x, z)."""
        toward_sun = -self.mood.cast[0] * normal_x - self.mood.cast[1] * normal_z
        spread = 0.34 if self.mood.shadow > 0.3 else 0.16
        return 0.90 + spread * max(-0.8, min(1.0, toward_sun))

    def wall(self, start: Point2, end: Point2, inside: Point2, facade: bool) -> None:
        """Paints one wall between two ground points, if its outer face is seen."""
        along = (end[0] - start[0], end[1] - start[1])
        length = (along[0] ** 2 + along[1] ** 2) ** 0.5
        unit = (along[0] / length, along[1] / length)
        normal = (-unit[1], unit[0])
        if normal[0] * (inside[0] - start[0]) + normal[1] * (inside[1] - start[1]) > 0:
            normal = (-normal[0], -normal[1])
        if normal[0] * -start[0] + normal[1] * -start[1] <= 0.05:
            return
        if unit[0] * -normal[1] + unit[1] * normal[0] < 0:
            start, end, unit = end, start, (-unit[0], -unit[1])
        height = self.building.height_m
        outline: list[Point2] = [(0, 0), (length, 0), (length, height), (0, height)]
        if not facade and self.roof_rise_m:
            outline.insert(1, (length / 2, -self.roof_rise_m))
        high = height + self.roof_rise_m
        if not self._in_view([(x, y, z) for x, z in (start, end) for y in (0.0, high)]):
            return
        scale = self._texels_per_m(start, end)
        texture = draw_facade(
            self.building, length, height, self.roof_rise_m, scale, facade, self.mood, self.rng
        )
        rise = self.roof_rise_m
        origin = (start[0], height + rise, start[1])
        shifted = [(s, t + rise) for s, t in outline]
        self._plane(
            origin, (unit[0], 0, unit[1]), (0, -1, 0), shifted, texture, scale, self._gain(*normal)
        )

    def roof(self, corner: dict[tuple[int, int], Point2]) -> None:
        """Paints the slope towards the street, and the one behind where it is seen."""
        if not self.roof_rise_m:
            return
        low, high = self.building.height_m, self.building.height_m + self.roof_rise_m
        for near in (1, 0):
            a, b = corner[(near, 0)], corner[(near, 1)]
            far_a = corner[(1 - near, 0)]
            mid = ((a[0] + far_a[0]) / 2, (a[1] + far_a[1]) / 2)
            length = ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5
            down = (a[0] - mid[0], low - high, a[1] - mid[1])
            slope = (down[0] ** 2 + down[1] ** 2 + down[2] ** 2) ** 0.5
            unit = ((b[0] - a[0]) / length, 0.0, (b[1] - a[1]) / length)
            step = (down[0] / slope, down[1] / slope, down[2] / slope)
            over = 0.35
            outline: list[Point2] = [
                (-over, 0),
                (length + over, 0),
                (length + over, slope + over),
                (-over, slope + over),
            ]
            rise, run = high - low, down[0] ** 2 + down[2] ** 2
            normal = (down[0] * rise, run, down[2] * rise)
            seen = sum(
                n * (c - m)
                for n, c, m in zip(
                    normal, (0.0, self.camera.height_m, 0.0), (mid[0], high, mid[1]), strict=True
                )
            )
            if seen <= 0:
                continue
            scale = self._texels_per_m(a, b)
            texture = draw_roof(length, slope + over, scale, over, self.building)
            size = sum(n * n for n in normal) ** 0.5
            self._plane(
                (mid[0], high, mid[1]),
                unit,
                step,
                outline,
                texture,
                scale,
                self._gain(normal[0] / size, normal[2] / size) + 0.08,
                shift=over,
            )

    def _in_view(self, corners: list[Point3]) -> bool:
        """Returns whether a wall's corners (in any order) enclose a part of the picture."""
        flat = [self.camera.project((x, y, max(z, 0.6))) for x, y, z in corners]
        if max(z for _, _, z in corners) < 0.6:
            return False
        return max(x for x, _ in flat) > 0 and min(x for x, _ in flat) < self.canvas.width_px

    def _texels_per_m(self, start: Point2, end: Point2) -> float:
        depths = sorted(max(point[1], 2.0) for point in (start, end))
        middle = math.sqrt(depths[0] * depths[1])
        return min(max(self.camera.focal_px / middle, 2.0), self.canvas.height_px / 13)

    def _plane(
        self,
        origin: Point3,
        e_s: Point3,
        e_t: Point3,
        outline: list[Point2],
        texture: Image.Image,
        scale: float,
        gain: float,
        shift: float = 0.0,
    ) -> None:
        """Maps a texture onto the polygon `outline` (metres along e_s and e_t from `origin`)."""
        corners = [
            (
                origin[0] + s * e_s[0] + t * e_t[0],
                origin[1] + s * e_s[1] + t * e_t[1],
                origin[2] + s * e_s[2] + t * e_t[2],
            )
            for s, t in outline
        ]
        flat = self.camera.outline(corners)
        if len(flat) < 3:
            return
        canvas = self.canvas
        left = max(0, int(min(p[0] for p in flat)))
        top = max(0, int(min(p[1] for p in flat)))
        right = min(canvas.width_px, int(max(p[0] for p in flat)) + 2)
        bottom = min(canvas.height_px, int(max(p[1] for p in flat)) + 2)
        if right <= left or bottom <= top:
            return
        depth = sum(max(c[2], 1.0) for c in corners) / len(corners)
        lit = _lit(texture, self.mood, depth, gain)
        terms = _homography(self.camera, origin, e_s, e_t, left, top, scale, shift)
        size = (right - left, bottom - top)
        patch = lit.transform(
            size,
            Image.Transform.PERSPECTIVE,
            terms,
            Image.Resampling.BILINEAR,
            fillcolor=lit.getpixel((lit.width // 2, lit.height - 1)),
        )
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in rounded(flat)], fill=255)
        canvas.color.paste(patch, (left, top), mask)
        canvas.label.paste(BUILDING + 1, (left, top), mask)


def _lit(texture: Image.Image, mood: Mood, depth_m: float, gain: float) -> Image.Image:
    """Returns the texture under the scene's light and haze; alpha marks what shines itself."""
    color, shines = texture.convert("RGB"), texture.getchannel("A")
    share = mood.haze_share(depth_m)
    ramp = np.arange(256)[None, :] * (np.array(mood.light) * gain)[:, None]
    table = np.minimum(ramp, 255) * (1 - share) + np.array(mood.haze)[:, None] * share
    lit = color.point(np.rint(table).astype(np.int64).ravel().tolist())
    if mood.night:
        lit.paste(color, (0, 0), shines.point(range(255, -1, -1)))
    return lit


def _homography(
    camera: Camera,
    origin: Point3,
    e_s: Point3,
    e_t: Point3,
    left: int,
    top: int,
    scale: float,
    shift: float,
) -> tuple[float, ...]:
    """Returns Pillow's eight terms that map pixels of a patch to texels of a plane."""
    focal, center = camera.focal_px, camera.center_x_px - left
    horizon = camera.horizon_px - top

    def column(vector: Point3, height: float) -> Point3:
        return (
            focal * vector[0] + center * vector[2],
            focal * (height - vector[1]) + horizon * vector[2],
            vector[2],
        )

    (a, d, g), (b, e, h) = column(e_s, 0.0), column(e_t, 0.0)
    c, f, i = column(origin, camera.height_m)
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    last = rows[2][2] if abs(rows[2][2]) > 1e-9 else 1e-9
    s = [scale * (rows[0][k] + shift * rows[2][k]) / last for k in range(3)]
    t = [scale * rows[1][k] / last for k in range(3)]
    return (*s, *t, rows[2][0] / last, rows[2][1] / last)
