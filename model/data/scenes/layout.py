"""The scene types: which strips the ground has, what stands along them, from where it is seen."""

from __future__ import annotations

import numpy as np

from .camera import StreetFrame
from .classes import (
    GRASS,
    PAVEMENT,
    ROAD,
    WATER,
)
from .mood import Mood
from .plan import Plan, View, pick
from .populate import populate
from .site import Range, Site

KINDS = {"city": 0.24, "suburb": 0.2, "park": 0.2, "harbour": 0.2, "country": 0.16}


def make_plan(seed: int, aspect: float, mood: Mood) -> Plan:
    """Returns the plan of the scene of a seed, for a picture of width / height `aspect`."""
    rng = np.random.default_rng([seed, 11])
    kind = pick(rng, KINDS)
    across = kind in ("city", "suburb", "harbour", "park") and rng.random() < 0.26
    yaw = float(-1.5708 + rng.uniform(-0.16, 0.16)) if across else float(rng.uniform(-0.24, 0.24))
    view = View(
        focal=float(rng.uniform(0.95, 1.25)) * min(1.0, aspect**0.5),
        horizon=float(rng.uniform(0.38, 0.52)),
        center_x=float(rng.uniform(0.36, 0.64)),
        height_m=float(rng.uniform(1.7, 3.2)),
        aspect=aspect,
    )
    bend = float(rng.uniform(-0.004, 0.004)) if kind == "country" else 0.0
    plan = Plan(kind, view, StreetFrame(yaw, bend), [], [])
    site = Site(kind, plan, mood, rng)
    if kind in ("city", "suburb"):
        _street(site, across)
    elif kind == "country":
        _country(site)
    else:
        _shore(site, across)
    populate(site)
    return plan


def _street(site: Site, across: bool) -> None:
    """A street between two rows of houses, with gardens in the suburb."""
    rng, city = site.rng, site.kind == "city"
    half = float(rng.uniform(3.2, 4.2))
    walk = float(rng.uniform(2.4, 4.0) if city else rng.uniform(1.6, 2.3))
    garden = 0.0 if city else float(rng.uniform(3.5, 7.0))
    center = float(rng.uniform(-half, half + walk)) * (-1 if rng.random() < 0.5 else 1)
    if across:
        center = half + float(rng.uniform(3.0, 6.0))
    left, right = center - half, center + half
    edges = [left - walk, left, right, right + walk]
    strips = [PAVEMENT if city else GRASS, PAVEMENT, ROAD, PAVEMENT, PAVEMENT if city else GRASS]
    green, canal = _open_side(site, across, edges, strips)
    site.strip(edges, strips)
    site.plan.road_u_m = (left, right)
    site.plan.lanes = [(center, 0.16, 6.0)]
    if city or rng.random() < 0.4:
        site.plan.lanes += [(left + 0.35, 0.12, 0.0), (right - 0.35, 0.12, 0.0)]
    if city and rng.random() < 0.45:
        site.plan.crossing_v_m = [float(rng.uniform(8, 16))]
    site.lanes = [(center + half * 0.5, 1), (center - half * 0.5, -1)]
    inner = (edges[0] + 0.7, left - 0.6), (right + 0.6, edges[3] - 0.7)
    site.walks = [pair for pair in inner if pair[1] > pair[0]]
    site.posts = [left - 0.55, right + 0.55]
    _sides(site, across, green, canal, garden)
    if not across:
        site.plan.treeline = float(rng.uniform(0.03, 0.07))
    if rng.random() < (0.25 if city else 0.6):
        site.plan.mountains = _ranges(rng, 0.13)


def _open_side(site: Site, across: bool, edges: list[float], strips: list[int]) -> tuple[int, bool]:
    """Opens a city street to a park or a canal; returns the park's side and whether a canal."""
    rng, city = site.rng, site.kind == "city"
    green = 0 if rng.random() < 0.72 or not city else (1 if across or rng.random() < 0.5 else -1)
    if green:
        strips[0 if green < 0 else -1] = GRASS
    canal = bool(city and not green and not across and rng.random() < 0.25)
    if canal:
        strips[-1] = WATER
        edges.append(edges[-1] + float(rng.uniform(12, 22)))
        strips.append(PAVEMENT)
        site.waters.append((edges[-2] + 2.5, edges[-1] - 2))
    return green, canal


def _sides(site: Site, across: bool, green: int, canal: bool, garden: float) -> None:
    """Lines both sides of a street with houses, gardens, a park or the far side of a canal."""
    edges, city = site.plan.edges_m, site.kind == "city"
    v_range = (-45.0, 45.0) if across else (-9.0, 95.0)
    for side, edge in ((-1, edges[0]), (1, edges[3])):
        if across and side < 0:
            continue
        if side == green:
            site.lawns.append(
                (edge + side * 3, edge + side * 14) if side > 0 else (edge - 14, edge - 3)
            )
            site.plan.treeline = 0.1
            continue
        u = edge + side * garden
        if canal and side > 0:
            u = edges[-1] + 3
        if not city:
            site.lawns.append((min(edge, u) + 0.6, max(edge, u) - 0.6))
        _houses(site, u, side, v_range, city)


def _houses(site: Site, u: float, side: int, v_range: Range, city: bool) -> None:
    rng = site.rng
    if city:
        tall = float(rng.uniform(9, 15))
        site.row(
            u,
            side,
            v_range,
            (tall * 0.7, tall * 1.25),
            {"plaster": 0.4, "brick": 0.3, "stone": 0.15, "modern": 0.15},
            (0.0, 0.0),
            {"flat": 0.55, "pitched": 0.45},
        )
    else:
        start = v_range[0] + float(rng.uniform(0, 6))
        site.row(
            u,
            side,
            (start, v_range[1]),
            (4.2, 6.4),
            {"plaster": 0.35, "brick": 0.3, "wood": 0.35},
            (3.0, 9.0),
            {"pitched": 0.9, "flat": 0.1},
            (8.0, 13.0),
        )


def _ranges(rng: np.random.Generator, tall: float) -> tuple[float, ...]:
    count = int(rng.integers(1, 4))
    return tuple(float(tall * rng.uniform(0.75, 1.3) * (1 - 0.27 * k)) for k in range(count))


def _shore(site: Site, across: bool) -> None:
    """A lake shore in a park, or a quay, with water to one side or straight ahead."""
    rng, harbour = site.rng, site.kind == "harbour"
    plan = site.plan
    side = 1 if across or rng.random() < 0.5 else -1
    if not across:
        turn = -float(rng.uniform(0.04, 0.42)) * side
        plan.frame = StreetFrame(turn, 0.0)
    far = float(rng.uniform(40, 80)) if across else 400.0
    near = float(rng.uniform(5.5, 9.0)) if across else float(rng.uniform(2.0, 4.5))
    walk = float(rng.uniform(3.0, 5.0)) if harbour else float(rng.uniform(2.2, 3.2))
    bank = 0.0 if harbour else float(rng.uniform(2.5, 5.0))
    if across:
        near += 2.0
        inland = [near - walk - bank]
    else:
        inland = [near - walk]
        near += bank
    land = PAVEMENT if harbour else GRASS
    edges, strips = [inland[0]], [land, PAVEMENT]
    if bank:
        edges.append(inland[0] + walk)
        strips.append(GRASS)
        site.lawns.append((edges[-1] + 0.6, edges[-1] + bank - 0.8))
    edges += [near, near + far]
    strips += [WATER, GRASS]
    drive = harbour and not across and rng.random() < 0.75
    if drive:
        road = float(rng.uniform(5.0, 6.4))
        edges = [edges[0] - road - 2.0, edges[0] - road, *edges]
        strips = [PAVEMENT, PAVEMENT, ROAD, *strips[1:]]
        plan.lanes = [(inland[0] - road / 2, 0.15, 5.0)]
        lanes = [(inland[0] - road * 0.25, side), (inland[0] - road * 0.75, -side)]
    else:
        lanes = []
    site.posts = [inland[0] + 0.5] if harbour else [inland[0] - 0.5, inland[0] + walk + 0.4]
    site.walks = [(inland[0] + 0.8, inland[0] + walk - 0.8)]
    site.waters = [(near + 2.0, near + min(far - 3, 60.0))]
    if not harbour:
        site.lawns.append((inland[0] - 10, inland[0] - 0.8))
    if across:
        site.lawns.append((near + far + 1, near + far + 8))
    plan.wobble_m = 0.0 if harbour else 1.1
    if not across:
        plan.far_m = float(rng.uniform(70, 130))
    _mirror(site, edges, strips, lanes, side)
    if harbour and not across:
        u = side * (edges[0] - (0.0 if drive else 3.0))
        _houses(site, u, -side, (-9.0, 90.0), True)
    _far_bank(site, across, side * (near + far))
    plan.treeline = float(rng.uniform(0.05, 0.10))
    if rng.random() < 0.62:
        plan.mountains = _ranges(rng, 0.16)


def _mirror(
    site: Site, edges: list[float], strips: list[int], lanes: list[tuple[float, int]], side: int
) -> None:
    """Puts the strips into the plan, mirrored for a shore on the left."""

    def flip(pair: Range) -> Range:
        return (-pair[1], -pair[0]) if side < 0 else pair

    if side < 0:
        edges, strips = [-edge for edge in edges[::-1]], strips[::-1]
    site.strip(edges, strips)
    site.lanes = [(side * u, heading * side) for u, heading in lanes]
    site.plan.lanes = [(side * u, wide, dash) for u, wide, dash in site.plan.lanes]
    site.walks = [flip(pair) for pair in site.walks]
    site.lawns = [flip(pair) for pair in site.lawns]
    site.waters = [flip(pair) for pair in site.waters]
    site.posts = [side * u for u in site.posts]


def _far_bank(site: Site, across: bool, u: float) -> None:
    """Sets houses on the opposite shore."""
    rng = site.rng
    chance = 0.85 if site.kind == "harbour" else 0.4
    if rng.random() > chance or not across:
        return
    start = float(rng.uniform(-60, -20))
    site.row(
        u + 2,
        1,
        (start, start + float(rng.uniform(30, 90))),
        (5, 12),
        {"plaster": 0.5, "brick": 0.3, "wood": 0.2},
        (0.0, 2.0),
        {"pitched": 1.0},
    )


def _country(site: Site) -> None:
    """A winding road through meadows, below mountains, sometimes along a lake."""
    rng, plan = site.rng, site.plan
    half = float(rng.uniform(2.6, 3.4))
    center = float(rng.uniform(-4.5, 4.5))
    left, right = center - half, center + half
    edges, strips = [left, right], [GRASS, ROAD, GRASS]
    site.lawns = [(left - 16, left - 2.5), (right + 2.5, right + 16)]
    plan.wobble_m = 1.4
    if rng.random() < 0.55:
        side = 1 if rng.random() < 0.5 else -1
        offset = float(rng.uniform(4.5, 9.0))
        if side > 0:
            edges, strips = [*edges, right + offset], [*strips, WATER]
            site.waters = [(right + offset + 4, right + offset + 45)]
            site.lawns[1] = (right + 1.8, right + offset - 1.5)
        else:
            edges, strips = [left - offset, *edges], [WATER, *strips]
            site.waters = [(left - offset - 45, left - offset - 4)]
            site.lawns[0] = (left - offset + 1.5, left - 1.8)
        plan.far_m = float(rng.uniform(80, 140))
    site.strip(edges, strips)
    plan.road_u_m = (left, right)
    plan.lanes = [(center, 0.14, 6.0), (left + 0.25, 0.12, 0.0), (right - 0.25, 0.12, 0.0)]
    site.lanes = [(center + half * 0.5, 1), (center - half * 0.5, -1)]
    site.walks = [(left - 2.0, left - 0.8), (right + 0.8, right + 2.0)]
    site.posts = [left - 1.0, right + 1.0]
    plan.mountains = _ranges(rng, 0.2)
    plan.treeline = float(rng.uniform(0.025, 0.06))
    if rng.random() < 0.55:
        side = -1 if WATER in strips[2:] else 1
        u = (right + float(rng.uniform(6, 14))) if side > 0 else left - float(rng.uniform(6, 14))
        site.row(
            u,
            side,
            (20.0, float(rng.uniform(30, 60))),
            (4.2, 6),
            {"wood": 0.6, "plaster": 0.4},
            (8.0, 20.0),
            {"pitched": 1.0},
            (9.0, 14.0),
        )
