"""A scene under construction."""

from __future__ import annotations

import numpy as np

from .mood import Mood
from .plan import Building, Plan, pick

Range = tuple[float, float]


class Site:
    """A scene under construction: its plan and the ranges in which each kind may stand."""

    def __init__(self, kind: str, plan: Plan, mood: Mood, rng: np.random.Generator) -> None:
        self.kind, self.plan, self.mood, self.rng = kind, plan, mood, rng
        self.lanes: list[tuple[float, int]] = []
        self.walks: list[Range] = []
        self.posts: list[float] = []
        self.lawns: list[Range] = []
        self.waters: list[Range] = []

    def strip(self, edges: list[float], strips: list[int]) -> None:
        """Sets the ground."""
        self.plan.edges_m, self.plan.strips = edges, strips

    def row(
        self,
        u: float,
        side: int,
        v_range: Range,
        heights: Range,
        styles: dict[str, float],
        gaps: Range,
        roofs: dict[str, float],
        widths: Range = (7.0, 14.0),
    ) -> None:
        """Lines buildings up along the street."""
        v = v_range[0]
        while v < v_range[1]:
            wide = float(self.rng.uniform(*widths))
            self.plan.buildings.append(
                Building(
                    u + side * float(self.rng.uniform(0, gaps[1] * 0.2)),
                    side,
                    v,
                    v + wide,
                    float(self.rng.uniform(*heights)),
                    float(self.rng.uniform(8, 11)),
                    pick(self.rng, styles),
                    pick(self.rng, roofs),
                    int(self.rng.integers(1 << 30)),
                )
            )
            v += wide + float(self.rng.uniform(*gaps))
