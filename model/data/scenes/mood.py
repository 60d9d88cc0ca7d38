"""Time of day, weather and season: the light that every stage shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .classes import RGB


@dataclass(frozen=True)
class Mood:
    """The light of one scene.

    Attributes:
        name: Which of the base moods.
        sky_top, sky_low: Sky colours at the zenith and at the horizon.
        cloud: Colour of a lit cloud.
        cover: Share of the sky under clouds, 0..1.
        light: Factors on surface colours (r, g, b).
        haze: Colour distance fades to.
        haze_per_m: Strength of the haze.
        shadow: Darkness of cast shadows, 0..1.
        cast: Ground shift (x, z) of a shadow, metres per metre of height.
        sun_xy: Sun in the picture, in shares of the width and the horizon's height.
        sun: Colour of the sun's glow, and how strong it is.
        sun_glow: Strength of the glow, 0..1.
        night: Share of lit windows and lamps' strength, 0..1.
        season: 0 spring, 1 summer, 2 autumn, 3 winter.
        wet: Strength of reflections on the road, 0..1.
    """

    name: str
    sky_top: RGB
    sky_low: RGB
    cloud: RGB
    cover: float
    light: tuple[float, float, float]
    haze: RGB
    haze_per_m: float
    shadow: float
    cast: tuple[float, float]
    sun_xy: tuple[float, float]
    sun: RGB
    sun_glow: float
    night: float
    season: int
    wet: float

    @property
    def light_x(self) -> float:
        """Returns the side the light comes from: -1 left, 1 right."""
        return -1.0 if self.cast[0] > 0 else 1.0

    def haze_share(self, depth_m: float) -> float:
        """Returns how much of the haze's colour lies over a surface at a depth, 0..1."""
        return 1 - 1 / (1 + depth_m * self.haze_per_m)

    def tone(self, color: RGB, depth_m: float, gain: float = 1.0) -> RGB:
        """Returns what the camera sees of a surface colour at a depth under a relative light."""
        share = self.haze_share(depth_m)
        seen = [
            min(255.0, value * light * gain) * (1 - share) + haze * share
            for value, light, haze in zip(color, self.light, self.haze, strict=True)
        ]
        return round(seen[0]), round(seen[1]), round(seen[2])


# name: sky top, sky low, cloud, cover, light, haze, haze per m, shadow, sun colour, glow, night
_BASE: dict[
    str,
    tuple[
        RGB,
        RGB,
        RGB,
        tuple[float, float],
        tuple[float, float, float],
        RGB,
        float,
        float,
        RGB,
        float,
        float,
    ],
] = {
    "clear": (
        (64, 128, 206),
        (186, 216, 238),
        (252, 252, 252),
        (0.1, 0.5),
        (1.04, 1.02, 0.97),
        (190, 212, 232),
        0.003,
        0.5,
        (255, 250, 225),
        0.55,
        0.0,
    ),
    "morning": (
        (98, 150, 205),
        (248, 220, 190),
        (255, 240, 225),
        (0.15, 0.55),
        (1.04, 0.96, 0.88),
        (238, 216, 196),
        0.007,
        0.42,
        (255, 232, 180),
        0.8,
        0.05,
    ),
    "overcast": (
        (150, 164, 178),
        (206, 212, 218),
        (226, 230, 234),
        (0.75, 0.95),
        (0.87, 0.89, 0.91),
        (200, 207, 214),
        0.006,
        0.2,
        (255, 255, 250),
        0.1,
        0.06,
    ),
    "golden": (
        (92, 116, 176),
        (255, 196, 128),
        (255, 206, 160),
        (0.25, 0.6),
        (1.08, 0.89, 0.70),
        (248, 190, 140),
        0.005,
        0.48,
        (255, 206, 120),
        1.0,
        0.15,
    ),
    "dusk": (
        (42, 54, 108),
        (228, 142, 128),
        (196, 124, 140),
        (0.25, 0.6),
        (0.72, 0.67, 0.74),
        (168, 124, 142),
        0.005,
        0.22,
        (255, 160, 110),
        0.7,
        0.6,
    ),
    "mist": (
        (178, 190, 200),
        (216, 221, 224),
        (232, 234, 236),
        (0.4, 0.8),
        (0.90, 0.91, 0.92),
        (213, 219, 222),
        0.022,
        0.16,
        (255, 250, 240),
        0.3,
        0.1,
    ),
}
_ODDS = {
    "clear": 0.36,
    "morning": 0.15,
    "overcast": 0.16,
    "golden": 0.15,
    "dusk": 0.10,
    "mist": 0.08,
}


def sample_mood(rng: np.random.Generator) -> Mood:
    """Returns a mood drawn at random."""
    name = str(rng.choice(list(_ODDS), p=list(_ODDS.values())))
    top, low, cloud, cover, light, haze, haze_per_m, shadow, sun, glow, night = _BASE[name]
    shift = rng.uniform(-5, 5, 3)
    side = 1.0 if rng.random() < 0.5 else -1.0
    length = rng.uniform(0.9, 1.7) if name in ("morning", "golden") else rng.uniform(0.4, 0.95)
    exposure = rng.uniform(0.95, 1.05)
    return Mood(
        name=name,
        sky_top=_moved(top, shift),
        sky_low=_moved(low, shift),
        cloud=cloud,
        cover=rng.uniform(*cover),
        light=(light[0] * exposure, light[1] * exposure, light[2] * exposure),
        haze=_moved(haze, shift * 0.5),
        haze_per_m=haze_per_m * rng.uniform(0.7, 1.3),
        shadow=shadow * rng.uniform(0.85, 1.1),
        cast=(side * length * rng.uniform(0.7, 1.0), length * rng.uniform(-0.55, 0.3)),
        sun_xy=(0.5 - side * rng.uniform(0.1, 0.48), rng.uniform(0.15, 0.55)),
        sun=sun,
        sun_glow=glow,
        night=night * rng.uniform(0.6, 1.2),
        season=int(rng.choice(4, p=(0.25, 0.38, 0.25, 0.12))),
        wet=rng.uniform(0.3, 0.8)
        if name in ("overcast", "dusk", "mist") and rng.random() < 0.5
        else 0.0,
    )


def _moved(color: RGB, shift: np.ndarray) -> RGB:
    red, green, blue = (int(min(255, max(0, c + s))) for c, s in zip(color, shift, strict=True))
    return red, green, blue
