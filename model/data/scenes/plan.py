"""What a scene consists of, before anything is drawn. Lengths in metres, the picture's height 1."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .camera import Camera, StreetFrame


@dataclass(frozen=True)
class View:
    """The camera in units of the picture: focal length and horizon in heights, centre in widths."""

    focal: float
    horizon: float
    center_x: float
    height_m: float
    aspect: float

    def camera(self, height_px: int, width_px: int) -> Camera:
        """Returns the camera for a canvas."""
        return Camera(
            width_px,
            height_px,
            self.focal * height_px,
            self.center_x * width_px,
            self.horizon * height_px,
            self.height_m,
        )


@dataclass(frozen=True)
class Building:
    """A box along the street: facade at u, reaching `depth_m` away from the street."""

    u_m: float
    side: int
    v0_m: float
    v1_m: float
    height_m: float
    depth_m: float
    style: str
    roof: str
    seed: int


@dataclass(frozen=True)
class Item:
    """A thing or a tree standing on the ground at street coordinates (u, v).

    Attributes:
        kind: Class index.
        u_m, v_m: Street coordinates.
        x_m, z_m: The same place in camera coordinates.
        heading_rad: Direction it points to in camera coordinates, 0 away from the camera.
        width_m, height_m: Rough extent, for keeping distance.
        variant: Which of the kind's shapes.
        seed: Seeds its details.
    """

    kind: int
    u_m: float
    v_m: float
    x_m: float
    z_m: float
    heading_rad: float
    width_m: float
    height_m: float
    variant: str
    seed: int


@dataclass
class Plan:
    """A whole scene.

    Attributes:
        kind: Name of the scene type.
        view: The camera.
        frame: The street's frame.
        edges_m: Ascending borders between the ground's strips, in u.
        strips: Class index of each strip, one more than borders.
        wobble_m: How much natural borders meander.
        far_m: Depth beyond which the ground is `far_class`.
        far_class: Class index of the ground beyond `far_m`.
        lanes: (u, width, dash period or 0) of lines on the road.
        crossing_v_m: Where zebra crossings begin.
        road_u_m: Range of the road in u, empty range if none.
        mountains: Heights of ranges, far to near.
        treeline: Height of the far row of trees in picture heights, 0 if none.
    """

    kind: str
    view: View
    frame: StreetFrame
    edges_m: list[float]
    strips: list[int]
    wobble_m: float = 0.0
    far_m: float = 1e9
    far_class: int = 4
    lanes: list[tuple[float, float, float]] = field(default_factory=list)
    crossing_v_m: list[float] = field(default_factory=list)
    road_u_m: tuple[float, float] = (0.0, 0.0)
    mountains: tuple[float, ...] = ()
    treeline: float = 0.0
    buildings: list[Building] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


def pick(rng: np.random.Generator, odds: dict[str, float]) -> str:
    """Returns a key of `odds` drawn with its weight."""
    total = sum(odds.values())
    return str(rng.choice(list(odds), p=[weight / total for weight in odds.values()]))
