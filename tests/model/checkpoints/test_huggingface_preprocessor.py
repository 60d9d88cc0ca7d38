"""Old and new fields of `preprocessor_config.json`."""

import pytest

from model.checkpoints.huggingface_preprocessor import read_preprocessor
from model.config import PreprocessingConfig
from model.errors import CheckpointError

# What the hub's old files hold, float32 noise included.
OLD_MEAN = [0.48500001430511475, 0.4560000002384186, 0.4059999883174896]
OLD_STD = [0.2290000021457672, 0.2239999920129776, 0.22499999403953552]
PAPER = PreprocessingConfig()


def test_no_file():
    assert read_preprocessor(None) == (None, ())


@pytest.mark.parametrize("limit", ["max_size", "_max_size"])
def test_old_fields(limit):
    config, notes = read_preprocessor(
        {
            "feature_extractor_type": "MaskFormerFeatureExtractor",
            "size": 640,
            limit: 2560,
            "size_divisibility": 32,
            "image_mean": OLD_MEAN,
            "image_std": OLD_STD,
        }
    )
    assert config == PreprocessingConfig(
        shortest_edge_px=640, longest_edge_px=2560, pad_to_px=32, mean=PAPER.mean, std=PAPER.std
    )
    assert notes == ()


def test_new_fields():
    config, _ = read_preprocessor(
        {
            "size": {"shortest_edge": 512, "longest_edge": 2048},
            "size_divisor": 64,
            "rescale_factor": 1 / 255,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        }
    )
    assert config == PreprocessingConfig(
        shortest_edge_px=512,
        longest_edge_px=2048,
        pad_to_px=64,
        mean=(127.5,) * 3,
        std=(127.5,) * 3,
    )


def test_absent_fields_are_those_of_transformers():
    config, _ = read_preprocessor({})
    assert config == PreprocessingConfig(shortest_edge_px=800, longest_edge_px=1333)


def test_null_is_absent():
    nothing = dict.fromkeys(("size", "max_size", "size_divisor", "rescale_factor", "image_mean"))
    assert read_preprocessor(nothing) == read_preprocessor({})


def test_another_filter_is_said():
    assert "bilinear" in read_preprocessor({"resample": 3})[1][0]
    assert read_preprocessor({"resample": 2})[1] == ()


def test_fixed_size_is_said():
    config, notes = read_preprocessor({"size": {"height": 384, "width": 512}})
    assert (config.shortest_edge_px, config.longest_edge_px) == (384, 512)
    assert "384x512" in notes[0]


def test_steps_that_are_switched_off():
    config, _ = read_preprocessor({"do_normalize": False, "do_resize": False, "size_divisor": 0})
    assert (config.mean, config.std) == ((0.0,) * 3, (255.0,) * 3)
    assert (config.shortest_edge_px, config.pad_to_px) == (None, 1)
    config, _ = read_preprocessor(
        {"do_rescale": False, "image_mean": [1, 2, 3], "image_std": [4, 5, 6]}
    )
    assert (config.mean, config.std) == ((1, 2, 3), (4, 5, 6))


@pytest.mark.parametrize(
    "config",
    [
        {"size": "large"},
        {"size": {"longest": 3}},
        {"image_mean": [0.5], "image_std": [0.5]},
        {"image_mean": [0.5] * 3, "image_std": [0.0] * 3},
        {"image_mean": [float("nan")] * 3, "image_std": [0.5] * 3},
    ],
)
def test_unsound_values(config):
    with pytest.raises(CheckpointError, match="preprocessor_config"):
        read_preprocessor(config)
