"""Noise from integers and exact arithmetic, so that every machine draws the same picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SINE = np.round(np.sin(np.arange(1024) * (2 * np.pi / 1024)), 6).astype(np.float32)


def sine(turns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the sine of an angle in turns, from a table; any shape, float32."""
    values: NDArray[np.float32] = _SINE.take((turns * 1024).astype(np.int32) & 1023)
    return values


def vector(values: Sequence[float]) -> NDArray[np.float32]:
    """Returns (N,) float32, such as a colour to compute with."""
    return np.asarray(values, np.float32)


def fraction(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns what exceeds the whole number below; much faster than `% 1`."""
    return values - np.floor(values)


def shifted(values: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """Returns (H, W) `values` moved by whole px, the border repeated."""
    height, width = values.shape
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return values[rows[:, None], columns[None, :]]


def fractal_noise(
    rng: np.random.Generator,
    shape_hw: tuple[int, int],
    cells_hw: tuple[int, int],
    octaves: int,
    gain: float = 0.5,
) -> NDArray[np.float32]:
    """Returns (H, W) float32 smooth noise of about 0..1 with mean 0.5.

    Args:
        rng: Source of the lattice values.
        shape_hw: Size of the result in px.
        cells_hw: Lattice cells of the coarsest octave; each further octave has twice as many.
        octaves: Number of octaves.
        gain: Weight of an octave relative to the one before.
    """
    total = np.zeros(shape_hw, np.float32)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        cells = (cells_hw[0] * 2**octave + 1, cells_hw[1] * 2**octave + 1)
        lattice = rng.integers(0, 256, cells, dtype=np.uint8)
        grown = Image.fromarray(lattice).resize(
            (shape_hw[1], shape_hw[0]), Image.Resampling.BICUBIC
        )
        total += np.asarray(grown, np.float32) * np.float32(weight / 255)
        weights += weight
        weight *= gain
    return total * np.float32(1 / weights)


def ridge(rng: np.random.Generator, steps: int, roughness: float) -> NDArray[np.float64]:
    """Returns (2**steps + 1,) heights of about 0..1 by midpoint displacement."""
    line = rng.random(3)
    spread = 0.5
    for _ in range(steps - 1):
        middle = (line[1:] + line[:-1]) / 2 + (rng.random(len(line) - 1) - 0.5) * spread
        grown = np.empty(len(line) * 2 - 1)
        grown[::2], grown[1::2] = line, middle
        line = grown
        spread *= roughness
    low, high = line.min(), line.max()
    heights: NDArray[np.float64] = (line - low) / max(float(high - low), 1e-6)
    return heights


def grain_tile(rng: np.random.Generator, size_px: int = 256) -> NDArray[np.float32]:
    """Returns (size, size) float32 tileable fine grain in -1..1."""
    raw = rng.integers(0, 256, (size_px, size_px)).astype(np.float32)
    soft = raw + np.roll(raw, 1, 0) + np.roll(raw, 1, 1) + np.roll(raw, (1, 1), (0, 1))
    return (soft - 510.0) / 360.0


def patch_tile(rng: np.random.Generator, size_px: int = 256) -> NDArray[np.float32]:
    """Returns (size, size) float32 tileable soft patches in about -1..1."""
    total = np.zeros((size_px, size_px), np.float32)
    for cells, weight in ((8, 1.0), (16, 0.6), (32, 0.4), (64, 0.25)):
        lattice = np.pad(rng.integers(0, 256, (cells, cells), dtype=np.uint8), 2, mode="wrap")
        step = size_px // cells
        grown = Image.fromarray(lattice).resize(((cells + 4) * step,) * 2, Image.Resampling.BICUBIC)
        inner = np.asarray(grown, np.float32)[2 * step : -2 * step, 2 * step : -2 * step]
        total += (inner - 127.5) * np.float32(weight / 127.5)
    return total / np.float32(1.6)
