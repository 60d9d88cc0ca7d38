import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.config import PreprocessingConfig
from model.inference.preprocess import padded_hw, preprocess, resized_hw

DATA = Path(__file__).parents[2] / "data" / "inference"
sides = st.integers(1, 300)
configs = st.builds(
    PreprocessingConfig,
    shortest_edge_px=st.none() | st.integers(1, 64),
    longest_edge_px=st.integers(1, 128),
    pad_to_px=st.sampled_from([1, 7, 32]),
)


@given(st.tuples(sides, sides), configs)
@settings(max_examples=60)
def test_sizes_are_pure_functions_of_picture_and_config(hw, config):
    sample = preprocess(np.full((*hw, 3), 127, np.uint8), config)
    height, width = sample.padded_hw
    assert sample.padded_hw == padded_hw(hw, config)
    assert sample.valid_hw == resized_hw(hw, config)
    assert sample.original_hw == hw
    assert sample.pixels.dtype == np.float32
    assert height % config.pad_to_px == 0
    assert width % config.pad_to_px == 0
    assert min(sample.valid_hw) >= 1
    assert max(sample.valid_hw) <= config.longest_edge_px
    assert 0 <= height - sample.valid_hw[0] < config.pad_to_px
    assert 0 <= width - sample.valid_hw[1] < config.pad_to_px


def test_padding_is_zero_after_normalisation():
    config = PreprocessingConfig(shortest_edge_px=None)
    sample = preprocess(np.full((33, 40, 3), 255, np.uint8), config)
    assert sample.pixels.shape == (3, 64, 64)
    assert (sample.pixels[:, 33:] == 0).all()
    assert (sample.pixels[:, :, 40:] == 0).all()
    expected = (255 - np.array(config.mean)) / np.array(config.std)
    np.testing.assert_allclose(sample.pixels[:, 32, 39], expected, rtol=1e-6)


@pytest.mark.parametrize("hw", [(1, 10000), (10000, 1)])
def test_extreme_shapes_stay_bounded(hw):
    picture = np.zeros((*hw, 3), np.uint8)
    tracemalloc.start()
    sample = preprocess(picture, PreprocessingConfig())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sorted(sample.valid_hw) == [1, 2048]
    assert sorted(sample.padded_hw) == [32, 2048]
    assert peak_bytes < 4 * 2**20


def test_known_sizes():
    coco = PreprocessingConfig(shortest_edge_px=800, longest_edge_px=1333)
    assert resized_hw((427, 640), coco) == (800, 1199)
    assert resized_hw((1000, 3000), coco) == (444, 1333)
    assert resized_hw((427, 640), PreprocessingConfig(shortest_edge_px=None)) == (427, 640)


def test_resizing_equals_the_reference_implementation():
    numbers = np.load(DATA / "resize_shortest_edge.npz")
    for key in numbers.files:
        if key.startswith("image"):
            continue
        settings_text, name = key.split(".")
        short, longest = (int(part.lstrip("shortmax")) for part in settings_text.split("_"))
        config = PreprocessingConfig(
            shortest_edge_px=short,
            longest_edge_px=longest,
            pad_to_px=1,
            mean=(0, 0, 0),
            std=(1, 1, 1),
        )
        pixels = preprocess(numbers[name], config).pixels
        np.testing.assert_array_equal(pixels.transpose(1, 2, 0), numbers[key], err_msg=key)
