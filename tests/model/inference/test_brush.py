"""Label Studio's brush masks, against a decoder written from the format's description."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from model.inference.encode.brush import brush_rle

# What label-studio-sdk 2.1.2 writes for a 3 x 4 mask with (0, 1), (1, 1) and (2, 3) set.
WRITTEN = [0, 0, 0, 48, 57, 27, 252, 96, 17, 255, 219, 0, 143, 255, 9, 128, 71, 254]
SMALL = np.array([[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], bool)


def decode(rle: list[int]) -> np.ndarray:
    """The bytes of a stream, with repeated and literal runs."""
    text = "".join(f"{byte:08b}" for byte in rle)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(text[at - count : at], 2)

    total, word = take(32), take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < total:
        repeated = take(1)
        length = take(widths[take(2)]) + 1
        out += [take(word)] * length if repeated else [take(word) for _ in range(length)]
    assert len(out) == total
    assert len(text) - at < 8
    return np.array(out)


def mask_of(rle: list[int], hw: tuple[int, int]) -> np.ndarray:
    rgba = decode(rle).reshape(*hw, 4)
    assert (rgba == rgba[..., :1]).all()
    assert set(np.unique(rgba)) <= {0, 255}
    return rgba[..., 3] == 255


def test_the_decoder_reads_what_label_studio_writes() -> None:
    assert (mask_of(WRITTEN, (3, 4)) == SMALL).all()


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_every_mask_survives(mask: np.ndarray) -> None:
    assert (mask_of(brush_rle(mask), mask.shape) == mask).all()


@pytest.mark.parametrize("pixels", [1, 2, 3, 4, 63, 64, 65, 16383, 16384, 16385, 50_000])
def test_runs_of_every_width_and_longer(pixels: int) -> None:
    mask = np.zeros((2, pixels), bool)
    mask[0] = True
    assert (mask_of(brush_rle(mask), mask.shape) == mask).all()
    assert (mask_of(brush_rle(~mask), mask.shape) == ~mask).all()


@given(st.integers(0, 2**32 - 1))
def test_large_masks_of_blobs_survive(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.random((4, 5)) < 0.5, np.ones((9, 13))) > 0
    assert (mask_of(brush_rle(mask), mask.shape) == mask).all()
