"""Pinhole camera over a flat ground, and the frame of the street it looks at.

Camera coordinates are metres: x to the right, y up from the ground, z forward from the camera.
Street coordinates are u across and v along the street; the camera stands at (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point2 = tuple[float, float]
Point3 = tuple[float, float, float]

NEAR_M = 0.6


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera; all lengths in pixels of the canvas it draws on."""

    width_px: int
    height_px: int
    focal_px: float
    center_x_px: float
    horizon_px: float
    height_m: float

    def project(self, point: Point3) -> Point2:
        """Returns the pixel (x, y) of a point in front of the camera."""
        scale = self.focal_px / max(point[2], 1e-3)
        return (
            self.center_x_px + scale * point[0],
            self.horizon_px + scale * (self.height_m - point[1]),
        )

    def outline(self, points: Sequence[Point3]) -> list[Point2]:
        """Returns the projected polygon, cut at the near plane; empty if all of it is behind."""
        return [self.project(point) for point in clip_near(points)]


def clip_near(points: Sequence[Point3], near_m: float = NEAR_M) -> list[Point3]:
    """Returns the part of a polygon that lies beyond `near_m` in front of the camera."""
    kept: list[Point3] = []
    for index, here in enumerate(points):
        before = points[index - 1]
        if (here[2] >= near_m) != (before[2] >= near_m):
            part = (near_m - before[2]) / (here[2] - before[2])
            kept.append(
                (
                    before[0] + part * (here[0] - before[0]),
                    before[1] + part * (here[1] - before[1]),
                    near_m,
                )
            )
        if here[2] >= near_m:
            kept.append(here)
    return kept


@dataclass(frozen=True)
class StreetFrame:
    """Where the street lies on the ground: turned by `yaw_rad`, bending by `bend_per_m` * v²."""

    yaw_rad: float
    bend_per_m: float = 0.0
    bend_end_m: float = 90.0

    @property
    def cos(self) -> float:
        """Cosine of the yaw, rounded so that every C library gives the same picture."""
        return round(math.cos(self.yaw_rad), 9)

    @property
    def sin(self) -> float:
        """Sine of the yaw, rounded like `cos`."""
        return round(math.sin(self.yaw_rad), 9)

    def to_camera(self, u_m: float, v_m: float) -> Point2:
        """Returns the camera coordinates (x, z) of a ground point in street coordinates."""
        bent = u_m + self.bend_per_m * min(max(v_m, 0.0), self.bend_end_m) ** 2
        return bent * self.cos + v_m * self.sin, -bent * self.sin + v_m * self.cos
