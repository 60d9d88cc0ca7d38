"""What the camera adds: glow, blur, vignette, white balance and sensor noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .camera import Point2
from .mood import Mood
from .textures import vector


def develop(
    picture: NDArray[np.uint8],
    glows: list[tuple[Point2, float]],
    mood: Mood,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Returns the (H, W, 3) uint8 picture as a camera records it.

    Args:
        picture: (H, W, 3) uint8, the clean drawing.
        glows: Centre (x, y) and radius, in px, of every shining lamp.
        mood: The scene's light.
        rng: Source of the noise.
    """
    height, width = picture.shape[:2]
    blur = float(rng.uniform(0.0, 0.55)) * max(1.0, height / 480)
    if blur > 0.2:
        picture = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(blur)))
    color = picture.astype(np.float32)
    if mood.night > 0.25:
        for center, radius in glows:
            _add_glow(color, center, radius * 5, mood.night)
    dx = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    dy = (np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1
    strength = np.float32(rng.uniform(0.04, 0.13))
    vignette = 1 - strength * (dx * dx)[None, :] - strength * (dy * dy)[:, None]
    balance = np.float32(rng.uniform(0.97, 1.03, 3))
    contrast = np.float32(rng.uniform(1.0, 1.1))
    color -= 118
    color *= contrast
    color += 118
    color *= vignette[..., None]
    color *= balance
    amount = np.float32(rng.uniform(0.4, 2.6) * (1 + mood.night) / 74)
    noise = rng.integers(0, 256, (2, height, width), dtype=np.uint8).astype(np.float32)
    color += ((noise[0] + noise[1] - 255) * amount * np.float32(0.7))[..., None]
    developed: NDArray[np.uint8] = np.clip(color + 0.5, 0, 255).astype(np.uint8)
    return developed


def _add_glow(color: NDArray[np.float32], center: Point2, radius: float, strength: float) -> None:
    """Adds a soft halo to (H, W, 3) `color` around a lamp."""
    height, width = color.shape[:2]
    reach = radius * 2
    x0, x1 = max(0, int(center[0] - reach)), min(width, int(center[0] + reach) + 1)
    y0, y1 = max(0, int(center[1] - reach)), min(height, int(center[1] + reach) + 1)
    if x1 <= x0 or y1 <= y0:
        return
    dx = (np.arange(x0, x1, dtype=np.float32) - center[0]) / np.float32(reach)
    dy = (np.arange(y0, y1, dtype=np.float32) - center[1]) / np.float32(reach)
    fall = np.clip(1 - dx[None, :] ** 2 - dy[:, None] ** 2, 0, 1)
    halo = fall * fall * fall * np.float32(min(1.0, strength * 1.2))
    color[y0:y1, x0:x1] += halo[..., None] * vector((120, 96, 52))
