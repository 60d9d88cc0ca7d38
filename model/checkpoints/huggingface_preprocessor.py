"""`preprocessor_config.json` of transformers, with the field names of every age."""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from model.config import PreprocessingConfig
from model.errors import CheckpointError

_BILINEAR = 2  # Pillow's number
_DEFAULTS = PreprocessingConfig()


def read_preprocessor(
    config: Mapping[str, Any] | None,
) -> tuple[PreprocessingConfig | None, tuple[str, ...]]:
    """Translate a preprocessor's fields.

    Args:
        config: the file's content; None where there is no file.

    Returns:
        our preprocessing, or None without a file; notes on what cannot be kept.

    Raises:
        CheckpointError: a field has no sound value.
    """
    if config is None:
        return None, ()
    config = {name: value for name, value in config.items() if value is not None}
    try:
        shortest, longest, notes = _edges(config)
        mean, std = _mean_std(config)
        if config.get("resample", _BILINEAR) != _BILINEAR:
            notes += ("the file resizes with another filter; here it is always bilinear",)
        return (
            PreprocessingConfig(
                shortest_edge_px=shortest,
                longest_edge_px=longest,
                pad_to_px=int(config.get("size_divisor", config.get("size_divisibility", 32))) or 1,
                mean=mean,
                std=std,
            ),
            notes,
        )
    except (ValidationError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = " ".join(repr(error).split())
        raise CheckpointError(f"expected a sound preprocessor_config.json, got {reason}") from error


def _edges(config: Mapping[str, Any]) -> tuple[int | None, int, tuple[str, ...]]:
    size = config.get("size", 800)
    longest = config.get("max_size") or config.get("_max_size") or 1333
    notes: tuple[str, ...] = ()
    if isinstance(size, Mapping):
        if "height" in size:
            shortest, longest = sorted((int(size["height"]), int(size["width"])))
            notes = (
                f"the file resizes to {size['height']}x{size['width']} whatever the aspect; "
                "here the aspect is kept within these edges",
            )
        else:
            shortest = int(size["shortest_edge"])
            longest = size.get("longest_edge") or longest
    else:
        shortest = int(size)
    if not config.get("do_resize", True):
        return None, max(int(longest), shortest), notes
    return shortest, int(longest), notes


def _mean_std(
    config: Mapping[str, Any],
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation on the 0-255 scale; old files carry float32 noise, rounded away."""
    factor = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    if not config.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (_round(1 / factor),) * 3
    if "image_mean" not in config:
        return _DEFAULTS.mean, _DEFAULTS.std
    mean = tuple(_round(value / factor) for value in config["image_mean"])
    std = tuple(_round(value / factor) for value in config["image_std"])
    if not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise ValueError(f"image_mean {config['image_mean']}, image_std {config['image_std']}")
    return mean, std  # type: ignore[return-value]  # pydantic checks that there are three


def _round(value: float) -> float:
    return round(value, 3)
