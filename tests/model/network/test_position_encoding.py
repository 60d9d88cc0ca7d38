import math

import numpy as np
import pytest
import torch

from model.network.position_encoding import sine_position_encoding


def _expected(height: int, width: int, channels: int) -> np.ndarray:
    """One number at a time, from the formula."""
    half = channels // 2
    encoding = np.zeros((height, width, channels))
    for y in range(height):
        for x in range(width):
            places = ((y + 1) / (height + 1e-6), (x + 1) / (width + 1e-6))
            for axis, place in enumerate(places):
                for channel in range(half):
                    angle = 2 * math.pi * place / 10000 ** (2 * (channel // 2) / half)
                    wave = math.cos(angle) if channel % 2 else math.sin(angle)
                    encoding[y, x, axis * half + channel] = wave
    return encoding.reshape(height * width, channels)


@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 4), (3, 5, 8), (7, 2, 20)])
def test_is_the_formula(height: int, width: int, channels: int) -> None:
    encoding = sine_position_encoding(torch.zeros(2, 3, height, width), channels)
    np.testing.assert_allclose(encoding.numpy(), _expected(height, width, channels), atol=1e-6)


def test_depends_on_the_sides_only() -> None:
    one = sine_position_encoding(torch.randn(1, 9, 4, 6), 16)
    other = sine_position_encoding(torch.randn(5, 2, 4, 6), 16)
    assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_is_computed_in_single_and_rounded_once(dtype: torch.dtype) -> None:
    single = sine_position_encoding(torch.zeros(1, 1, 40, 30), 32)
    half = sine_position_encoding(torch.zeros(1, 1, 40, 30, dtype=dtype), 32)
    assert torch.equal(half, single.to(dtype))
