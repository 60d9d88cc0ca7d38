"""The colour jitter of SSD, which the paper's semantic recipes use.

Source: arXiv 1512.02325, section 2.2, with the ranges of arXiv 2107.06278's training recipes.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_HUES = 256  # of Pillow's HSV, a whole turn


def jitter_colors(
    image: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue_degrees: float,
) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and hue, each in half of the cases.

    Contrast comes before saturation and hue in half of the cases, else after them. Values that
    leave 0-255 are clipped after every change.

    Args:
        image: (h, w, 3) uint8.
        rng: source of every choice.
        brightness: largest shift, on the 0-255 scale.
        contrast: largest relative change of all values.
        saturation: largest relative change of the saturation.
        hue_degrees: largest turn of the hue.
    """
    values = image.astype(np.float32)
    if rng.random() < 0.5:
        values = _clip(values + rng.uniform(-brightness, brightness))
    contrast_first = rng.random() < 0.5
    if contrast_first:
        values = _scale(values, rng, contrast)
    values = _turn(_saturate(values, rng, saturation), rng, hue_degrees)
    return (values if contrast_first else _scale(values, rng, contrast)).round().astype(np.uint8)


def _scale(
    values: NDArray[np.float32], rng: np.random.Generator, limit: float
) -> NDArray[np.float32]:
    return _clip(values * rng.uniform(1 - limit, 1 + limit)) if rng.random() < 0.5 else values


def _saturate(
    values: NDArray[np.float32], rng: np.random.Generator, limit: float
) -> NDArray[np.float32]:
    if rng.random() >= 0.5:
        return values
    hsv = _to_hsv(values)
    hsv[..., 1] = _clip(hsv[..., 1] * rng.uniform(1 - limit, 1 + limit))
    return _to_rgb(hsv)


def _turn(
    values: NDArray[np.float32], rng: np.random.Generator, limit_degrees: float
) -> NDArray[np.float32]:
    if rng.random() >= 0.5:
        return values
    hsv = _to_hsv(values)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-1, 1) * limit_degrees * _HUES / 360) % _HUES
    return _to_rgb(hsv)


def _clip(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.clip(0, 255).astype(np.float32)


def _to_hsv(values: NDArray[np.float32]) -> NDArray[np.float32]:
    rgb = Image.fromarray(values.round().astype(np.uint8))
    return np.asarray(rgb.convert("HSV")).astype(np.float32)


def _to_rgb(hsv: NDArray[np.float32]) -> NDArray[np.float32]:
    picture = Image.fromarray(hsv.astype(np.uint8), "HSV")
    return np.asarray(picture.convert("RGB")).astype(np.float32)
