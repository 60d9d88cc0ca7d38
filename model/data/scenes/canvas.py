"""The two planes every stage draws on, and the brush that draws on both at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .camera import Point2
from .classes import RGB

Tint = Callable[[RGB, float], RGB]
Placement = Callable[[float, float], Point2]


class Canvas:
    """A colour plane and a plane of segment ids, both `factor` times the output's resolution.

    Stuff of class c has id c + 1, things follow; an id fits a byte.
    """

    def __init__(self, height_px: int, width_px: int, factor: int) -> None:
        self.factor = factor
        self.height_px, self.width_px = height_px * factor, width_px * factor
        self.color = Image.new("RGB", (self.width_px, self.height_px))
        self.label = Image.new("L", (self.width_px, self.height_px))

    def fill(self, outline: Sequence[Point2], color: RGB, segment_id: int) -> None:
        """Fills a polygon (canvas pixels) on both planes."""
        if len(outline) < 3:
            return
        flat = rounded(outline)
        ImageDraw.Draw(self.color).polygon(flat, fill=color)
        ImageDraw.Draw(self.label).polygon(flat, fill=segment_id)

    def reduced(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Returns the picture averaged, and the ids by majority, at output resolution."""
        if self.factor == 1:
            return np.array(self.color), np.array(self.label)
        return np.array(self.color.reduce(2)), majority(np.array(self.label))


def majority(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns (H, W) the most frequent value of every 2 x 2 block of a (2H, 2W) array."""
    a, b = label[::2, ::2], label[::2, 1::2]
    c, d = label[1::2, ::2], label[1::2, 1::2]
    return np.where((b == c) | (b == d), b, np.where(c == d, c, a))


def rounded(points: Sequence[Point2]) -> list[Point2]:
    """Returns the points to 1/64 px, inside a range that the rasteriser takes."""
    limit = 40000.0
    return [
        (round(min(max(x, -limit), limit) * 64) / 64, round(min(max(y, -limit), limit) * 64) / 64)
        for x, y in points
    ]


CIRCLE: list[Point2] = [
    (round(float(np.cos(k * np.pi / 12)), 6), round(float(np.sin(k * np.pi / 12)), 6))
    for k in range(24)
]


class Brush:
    """Draws one object: its colours on the canvas, its silhouette on a mask of its own.

    Coordinates are the object's own, in metres (x to the right, y up), mapped by `place`.
    Colours are surface colours; `tint` turns them into what the camera sees.
    """

    def __init__(self, canvas: Canvas, place: Placement, tint: Tint) -> None:
        self.canvas = canvas
        self.place = place
        self.tint = tint
        self.mask = Image.new("L", canvas.color.size)
        self._color = ImageDraw.Draw(canvas.color, "RGBA")
        self._mask = ImageDraw.Draw(self.mask)

    def outline(
        self,
        points_px: Sequence[Point2],
        color: RGB,
        gain: float = 1.0,
        alpha: int = 255,
        solid: bool = True,
    ) -> None:
        """Fills a polygon given in canvas pixels; `solid` adds it to the silhouette."""
        if len(points_px) < 3:
            return
        flat = rounded(points_px)
        red, green, blue = self.tint(color, gain)
        self._color.polygon(flat, fill=(red, green, blue, alpha))
        if solid:
            self._mask.polygon(flat, fill=255)

    def polygon(
        self,
        points: Sequence[Point2],
        color: RGB,
        gain: float = 1.0,
        alpha: int = 255,
        solid: bool = True,
    ) -> None:
        """Fills a polygon given in the object's metres."""
        self.outline([self.place(x, y) for x, y in points], color, gain, alpha, solid)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, color: RGB, gain: float = 1.0
    ) -> None:
        """Fills an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, gain)

    def disc(
        self,
        x: float,
        y: float,
        radius_x: float,
        radius_y: float,
        color: RGB,
        gain: float = 1.0,
        alpha: int = 255,
    ) -> None:
        """Fills an ellipse."""
        ring = [(x + radius_x * c, y + radius_y * s) for c, s in CIRCLE]
        self.polygon(ring, color, gain, alpha)

    def limb(
        self,
        start: Point2,
        end: Point2,
        width0: float,
        width1: float,
        color: RGB,
        gain: float = 1.0,
    ) -> None:
        """Fills a rounded bar from `start` to `end`, tapering from `width0` to `width1`."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = (dx * dx + dy * dy) ** 0.5 or 1.0
        nx, ny = -dy / length / 2, dx / length / 2
        self.polygon(
            [
                (start[0] + nx * width0, start[1] + ny * width0),
                (end[0] + nx * width1, end[1] + ny * width1),
                (end[0] - nx * width1, end[1] - ny * width1),
                (start[0] - nx * width0, start[1] - ny * width0),
            ],
            color,
            gain,
        )
        self.disc(*start, width0 / 2, width0 / 2, color, gain)
        self.disc(*end, width1 / 2, width1 / 2, color, gain)

    def ring(self, x: float, y: float, radius: float, width: float, color: RGB) -> None:
        """Strokes a circle."""
        points = rounded([self.place(x + radius * c, y + radius * s) for c, s in CIRCLE])
        scale = abs(self.place(x, y + 1)[1] - self.place(x, y)[1])
        red, green, blue = self.tint(color, 1.0)
        self._color.line(
            [*points, points[0], points[1]],
            fill=(red, green, blue, 255),
            width=max(1, round(width * scale)),
            joint="curve",
        )

    def relief(self, light_x: float, strength: float, radius_px: float) -> None:
        """Rounds the object: its edge towards the light brightens, the far edge darkens."""
        box = self.mask.getbbox()
        if box is None:
            return
        mask = self.mask.crop(box)
        radius = max(1, round(radius_px))
        soft = np.asarray(mask.filter(ImageFilter.BoxBlur(radius)), np.float32) * (1 / 255)
        padded = np.pad(soft, ((0, 0), (radius, radius)))
        wide = soft.shape[1]
        slope = padded[:, 2 * radius : 2 * radius + wide] - padded[:, :wide]
        color = np.asarray(self.canvas.color.crop(box), np.float32)
        shaded = color * (1 + (strength * light_x) * slope)[..., None]
        patch = Image.fromarray(np.clip(shaded, 0, 255).astype(np.uint8))
        self.canvas.color.paste(patch, box[:2], mask)

    def commit(self, segment_id: int) -> int:
        """Writes the silhouette to the plane of ids; returns its area in output pixels."""
        box = self.mask.getbbox()
        if box is None:
            return 0
        mask = self.mask.crop(box)
        self.canvas.label.paste(segment_id, box, mask)
        return mask.histogram()[255] // (self.canvas.factor**2)
