import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from model.inference.resize import Tile, identity, resample, tiles

sides = st.integers(1, 40)
pairs = st.tuples(sides, sides)


def maps(count: int, hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *hw)).astype(np.float32)


def torch_resize(array: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    return interpolate(torch.from_numpy(array)[None], hw, mode="bilinear")[0].numpy()


@given(pairs, pairs)
@settings(max_examples=100)
def test_equals_an_independent_bilinear_resize(before, after):
    array = maps(2, before)
    rows, columns = identity(before[0]).resized(after[0]), identity(before[1]).resized(after[1])
    ours = resample(array, rows, columns, Tile(0, after[0], 0, after[1]))
    np.testing.assert_allclose(ours, torch_resize(array, after), atol=2e-5)


@given(pairs, pairs, st.data())
@settings(max_examples=60)
def test_two_resizings_with_a_cut_between_are_one(logits_hw, original_hw, data):
    enlarged = tuple(data.draw(st.integers(4 * n - 3, 4 * n)) for n in logits_hw)
    valid = tuple(data.draw(st.integers(1, n)) for n in enlarged)
    array = maps(2, logits_hw)
    two_steps = torch_resize(array, enlarged)[:, : valid[0], : valid[1]].copy()
    two_steps = torch_resize(two_steps, original_hw)
    rows, columns = (
        identity(n).resized(e).cut(v).resized(o)
        for n, e, v, o in zip(logits_hw, enlarged, valid, original_hw, strict=True)
    )
    once = resample(array, rows, columns, Tile(0, original_hw[0], 0, original_hw[1]))
    np.testing.assert_allclose(once, two_steps, atol=2e-5)


def test_tiles_are_parts_of_the_whole_and_cover_it_once():
    array, hw = maps(3, (20, 30)), (97, 131)
    rows, columns = identity(20).resized(97), identity(30).resized(131)
    whole = resample(array, rows, columns, Tile(0, 97, 0, 131))
    covered = np.zeros(hw, int)
    for tile in tiles(hw, depth=3, budget=10_000):
        covered[tile.slices] += 1
        part = resample(array, rows, columns, tile)
        np.testing.assert_allclose(part, whole[:, *tile.slices], atol=1e-6)
    assert (covered == 1).all()


@pytest.mark.parametrize("depth", [1, 100, 10**9])
def test_tiles_keep_to_their_budget(depth):
    sizes = [(t.bottom - t.top) * (t.right - t.left) for t in tiles((1000, 3000), depth, 2**20)]
    assert max(sizes) * depth <= max(2**20, 8 * 8 * depth)


def test_same_size_changes_nothing():
    array = maps(1, (7, 9))
    rows, columns = identity(7).resized(7), identity(9).resized(9)
    np.testing.assert_array_equal(resample(array, rows, columns, Tile(0, 7, 0, 9)), array)
