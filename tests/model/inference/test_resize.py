import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from model.inference.resize import identity
from tests.model.inference.dense import matrix, resample

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
    ours = resample(array, rows, columns)
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
    once = resample(array, rows, columns)
    np.testing.assert_allclose(once, two_steps, atol=2e-5)


@given(sides, sides, st.data())
@settings(max_examples=60)
def test_trimming_changes_nothing(logits, output, data):
    padded = data.draw(st.integers(4 * logits - 3, 4 * logits))
    valid = data.draw(st.integers(1, padded))
    way = identity(logits).resized(padded).cut(valid).resized(output)
    trimmed = way.trimmed()
    np.testing.assert_array_equal(matrix(trimmed), matrix(way))
    assert trimmed.weights.shape[1] <= 3
    assert trimmed.first.min() >= 0
    assert trimmed.first.max() + trimmed.weights.shape[1] <= logits


def test_same_size_changes_nothing():
    array = maps(1, (7, 9))
    rows, columns = identity(7).resized(7), identity(9).resized(9)
    np.testing.assert_array_equal(resample(array, rows, columns), array)
