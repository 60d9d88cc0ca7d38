"""Things and trees: how many a scene gets, and where each kind may stand."""

from __future__ import annotations

from .cars import CAR_HEIGHT_M
from .classes import BICYCLE, BOAT, CAR, LAMP, PERSON, SIGN, TREE
from .furniture import SIGN_VARIANTS
from .placing import Placer
from .plan import pick
from .site import Range, Site
from .trees import WIDTH_PER_HEIGHT

# How many of each kind to try for, by scene type.
_COUNTS: dict[str, dict[int, tuple[int, int]]] = {
    "city": {
        CAR: (2, 4),
        LAMP: (1, 2),
        SIGN: (1, 2),
        BICYCLE: (1, 2),
        PERSON: (2, 4),
        TREE: (0, 3),
    },
    "suburb": {
        CAR: (1, 3),
        LAMP: (1, 2),
        SIGN: (1, 2),
        BICYCLE: (1, 2),
        PERSON: (1, 3),
        TREE: (3, 6),
    },
    "park": {
        BOAT: (1, 3),
        LAMP: (1, 2),
        SIGN: (0, 1),
        BICYCLE: (1, 2),
        PERSON: (2, 4),
        TREE: (3, 6),
    },
    "harbour": {
        BOAT: (2, 4),
        CAR: (0, 2),
        LAMP: (1, 3),
        SIGN: (0, 2),
        BICYCLE: (0, 2),
        PERSON: (2, 4),
        TREE: (0, 2),
    },
    "country": {
        BOAT: (1, 2),
        CAR: (1, 3),
        SIGN: (1, 2),
        LAMP: (0, 1),
        BICYCLE: (0, 2),
        PERSON: (1, 2),
        TREE: (4, 7),
    },
}


def populate(site: Site) -> None:
    """Adds things and trees, the most constrained first."""
    placer = Placer(site.plan, site.rng)
    near = site.plan.view.focal * site.plan.view.height_m / (1 - site.plan.view.horizon)
    for kind, (least, most) in _COUNTS[site.kind].items():
        wanted = int(site.rng.integers(least, most + 1))
        for _ in range(wanted):
            _ADDERS[kind](site, placer, near * 0.98)


def _one(site: Site, options: list[Range]) -> Range | None:
    return options[int(site.rng.integers(len(options)))] if options else None


def _add_boat(site: Site, placer: Placer, near: float) -> None:
    place = _one(site, site.waters)
    if place:
        variant = pick(site.rng, {"sail": 0.4, "motor": 0.3, "fishing": 0.18, "row": 0.12})
        long = float(
            site.rng.uniform(
                *{
                    "sail": (4.5, 6.5),
                    "motor": (4.0, 6.0),
                    "fishing": (5.0, 7.5),
                    "row": (3.4, 4.2),
                }[variant]
            )
        )
        tall = {"sail": 1.25, "motor": 0.32, "fishing": 0.57, "row": 0.17}[variant] * long
        placer.place(
            BOAT, place, (max(9.0, near), 60.0), (long, tall), variant, min_tall=0.03, max_tall=0.6
        )


def _add_car(site: Site, placer: Placer, near: float) -> None:
    if site.lanes:
        u, heading = site.lanes[int(site.rng.integers(len(site.lanes)))]
        variant = pick(site.rng, {"sedan": 0.32, "hatch": 0.32, "suv": 0.22, "van": 0.14})
        wide = 2.6 if abs(site.plan.frame.cos) > 0.5 else 4.3
        placer.place(
            CAR,
            (u - 0.25, u + 0.25),
            (max(6.5, near + 1.5), 34.0),
            (wide, CAR_HEIGHT_M[variant]),
            variant,
            float(heading),
            max_tall=0.42,
        )


def _add_lamp(site: Site, placer: Placer, near: float) -> None:
    u = site.posts[int(site.rng.integers(len(site.posts)))]
    variant = pick(site.rng, {"arm": 0.4, "globe": 0.25, "lantern": 0.35})
    tall = float(site.rng.uniform(4.2, 5.6) if variant == "arm" else site.rng.uniform(3.2, 4.2))
    placer.place(
        LAMP, (u, u), (max(6.0, near), 24.0), (1.0, tall), variant, min_tall=0.13, max_tall=0.78
    )


def _add_sign(site: Site, placer: Placer, near: float) -> None:
    u = site.posts[int(site.rng.integers(len(site.posts)))]
    variant = SIGN_VARIANTS[int(site.rng.integers(len(SIGN_VARIANTS)))]
    placer.place(
        SIGN,
        (u - 0.1, u + 0.1),
        (max(5.0, near), 17.0),
        (1.0, float(site.rng.uniform(2.3, 3.0))),
        variant,
        min_tall=0.12,
        max_tall=0.66,
    )


def _add_bicycle(site: Site, placer: Placer, near: float) -> None:
    lanes = [(u - 0.6, u + 0.6) for u, _ in site.lanes]
    place = _one(site, [*site.walks, *lanes])
    if place:
        ridden = place in lanes or site.rng.random() < 0.2
        variant = "ridden" if ridden else "parked"
        tall = 1.85 if variant == "ridden" else 1.1
        placer.place(
            BICYCLE,
            place,
            (max(4.5, near), 14.0),
            (1.8, tall),
            variant,
            min_tall=0.07,
            max_tall=0.5,
        )


def _add_person(site: Site, placer: Placer, near: float) -> None:
    lawns = [pair for pair in site.lawns if pair[1] > pair[0]]
    place = _one(site, [*site.walks, *site.walks, *lawns])
    if place:
        variant = "walk" if site.rng.random() < 0.7 else "stand"
        placer.place(
            PERSON,
            place,
            (max(4.2, near), 19.0),
            (0.75, float(site.rng.uniform(1.55, 1.88))),
            variant,
            min_tall=0.085,
            max_tall=0.55,
        )


def _add_tree(site: Site, placer: Placer, near: float) -> None:
    lawns = [pair for pair in site.lawns if pair[1] > pair[0]]
    place = _one(site, lawns)
    if place is None and site.kind in ("city", "harbour") and site.posts:
        u = site.posts[int(site.rng.integers(len(site.posts)))]
        place = (u - 0.05, u + 0.05)
    if place:
        variant = pick(site.rng, {"round": 0.55, "poplar": 0.13, "conifer": 0.18, "bush": 0.14})
        tall = float(
            site.rng.uniform(
                *{
                    "round": (4.5, 7.5),
                    "poplar": (6.0, 9.0),
                    "conifer": (4.5, 8.5),
                    "bush": (0.9, 1.5),
                }[variant]
            )
        )
        placer.place(
            TREE,
            place,
            (max(7.0, near), 45.0),
            (tall * WIDTH_PER_HEIGHT[variant], tall),
            variant,
            min_tall=0.06,
            max_tall=1.0,
        )


_ADDERS = {
    BOAT: _add_boat,
    CAR: _add_car,
    LAMP: _add_lamp,
    SIGN: _add_sign,
    BICYCLE: _add_bicycle,
    PERSON: _add_person,
    TREE: _add_tree,
}
