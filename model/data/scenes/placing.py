"""Finds places for things so that they stand apart, fit the picture and mostly stay visible."""

from __future__ import annotations

import numpy as np

from .classes import TREE
from .plan import Item, Plan

Box = tuple[float, float, float, float]

_TRIES = 14


class Placer:
    """Adds items to a plan one by one, refusing places that would hide too much."""

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        self.plan, self.rng = plan, rng
        self._boxes: list[tuple[Box, float, int]] = []

    def place(
        self,
        kind: int,
        u_range_m: tuple[float, float],
        z_range_m: tuple[float, float],
        size_m: tuple[float, float],
        variant: str,
        heading: float | None = None,
        min_tall: float = 0.05,
        max_tall: float = 0.75,
    ) -> Item | None:
        """Adds an item of (width, height) `size_m`; returns it, or None where none fits.

        Args:
            kind: Class index.
            u_range_m: Range across the street.
            z_range_m: Range of depth from the camera.
            size_m: Width and height.
            variant: The item's shape.
            heading: Direction along the street, +1 or -1; None for things without one.
            min_tall: Least height in picture heights.
            max_tall: Largest height in picture heights.
        """
        for _ in range(_TRIES):
            spot = self._spot(u_range_m, z_range_m)
            if spot is None:
                continue
            u, v, x, z = spot
            box = self._box(x, z, size_m)
            tall = box[3] - box[1]
            if not min_tall <= tall <= max_tall or not self._fits(box, kind):
                continue
            if self._hides(box, z, kind) or self._touches(x, z, size_m):
                continue
            yaw = self.plan.frame.yaw_rad
            turned = yaw + (0.0 if (heading or 1.0) > 0 else 3.14159265)
            if self.plan.frame.bend_per_m:
                turned += 2 * self.plan.frame.bend_per_m * min(max(v, 0), 90)
            item = Item(kind, u, v, x, z, turned, *size_m, variant, int(self.rng.integers(1 << 30)))
            self.plan.items.append(item)
            self._boxes.append((box, z, kind))
            return item
        return None

    def _spot(
        self, u_range: tuple[float, float], z_range: tuple[float, float]
    ) -> tuple[float, float, float, float] | None:
        """Returns a random (u, v, x, z) inside the ranges and the view."""
        frame, view = self.plan.frame, self.plan.view
        u = float(self.rng.uniform(*u_range))
        part = float(self.rng.random())
        if abs(frame.cos) > 0.5:
            z = z_range[0] * (z_range[1] / z_range[0]) ** part
            v = (z + u * frame.sin) / frame.cos
        else:
            depth = max(1.0, -u * frame.sin)
            reach = view.aspect / view.focal * depth
            x = (part - view.center_x) * reach
            v = (x - u * frame.cos) / frame.sin
        x, z = frame.to_camera(u, v)
        if not z_range[0] <= z <= z_range[1] or z > self.plan.far_m * 0.92:
            return None
        return u, v, x, z

    def _box(self, x: float, z: float, size: tuple[float, float]) -> Box:
        """Returns the rough extent (x0, y0, x1, y1) on the picture in picture heights."""
        view = self.plan.view
        scale = view.focal / z
        middle = view.center_x * view.aspect + scale * x
        foot = view.horizon + scale * view.height_m
        half = scale * size[0] / 2
        return middle - half, foot - scale * size[1], middle + half, foot

    def _fits(self, box: Box, kind: int) -> bool:
        wide, tall = box[2] - box[0], box[3] - box[1]
        seen_x = min(box[2], self.plan.view.aspect) - max(box[0], 0.0)
        seen_y = min(box[3], 1.0) - max(box[1], 0.0)
        need = 0.45 if kind == TREE else 0.72
        return seen_x >= need * wide and seen_y >= (0.5 if kind == TREE else 0.85) * tall

    def _hides(self, box: Box, z: float, kind: int) -> bool:
        """Returns whether the farther one of two would be covered by much."""
        for other, other_z, other_kind in self._boxes:
            if kind == TREE and other_kind == TREE:
                continue
            wide = min(box[2], other[2]) - max(box[0], other[0])
            tall = min(box[3], other[3]) - max(box[1], other[1])
            if wide <= 0 or tall <= 0:
                continue
            back = box if z > other_z else other
            if (kind == TREE and z > other_z) or (other_kind == TREE and z < other_z):
                continue
            area = (back[2] - back[0]) * (back[3] - back[1])
            if wide * tall > 0.32 * area:
                return True
        return False

    def _touches(self, x: float, z: float, size: tuple[float, float]) -> bool:
        for item in self.plan.items:
            reach = (min(item.width_m, 4.4) + min(size[0], 4.4)) * 0.42
            if (item.x_m - x) ** 2 + (item.z_m - z) ** 2 < reach * reach:
                return True
        return False
