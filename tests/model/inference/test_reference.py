"""Post-processing against numbers of the reference implementation, from random weights.

The network's cases are compared where the reference itself is decided: where its two best
candidates lie further apart than float32 rounding moves them.
"""

from pathlib import Path

import numpy as np
import pytest

from model.inference.postprocess import postprocess
from model.structures import RawOutput, Sample, Segmentation

DATA = Path(__file__).parents[2] / "data" / "inference"
IS_THING = (True,) * 4 + (False,) * 3
OWN_HW, RESIZED_HW = (97, 131), (150, 203)


def answer(
    class_logits: np.ndarray | None,
    mask_logits: np.ndarray,
    sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    mode: str,
    **options: object,
) -> Segmentation:
    padded_hw, valid_hw, original_hw = sizes
    sample = Sample(np.broadcast_to(np.float32(0), (3, *padded_hw)), valid_hw, original_hw)
    thresholds = {"score_threshold": 0.8, "overlap_threshold": 0.8, "mask_threshold": 0.5}
    options = {"is_thing": IS_THING, "scores_at": "output", **thresholds, **options}
    return postprocess(RawOutput(class_logits, mask_logits), sample, mode=mode, **options)


def assert_equal_where_decided(
    actual: np.ndarray, expected: np.ndarray, packed: np.ndarray
) -> None:
    decided = np.unpackbits(packed, count=expected.size).reshape(expected.shape).astype(bool)
    assert decided.mean() > 0.9
    np.testing.assert_array_equal(actual[decided], expected[decided])


@pytest.mark.parametrize("score_threshold", [0.8, 0.7, 0.3])
@pytest.mark.parametrize("overlap_threshold", [0.8, 0.0])
def test_panoptic_rules_on_every_pixel_and_row(score_threshold, overlap_threshold):
    """Exact ties, a ratio of exactly 0.8, hidden and never confident queries, merged stuff."""
    numbers = np.load(DATA / "panoptic_synthetic.npz")
    result = answer(
        numbers["class_logits"],
        numbers["mask_logits"],
        ((60, 80),) * 3,
        "panoptic",
        score_threshold=score_threshold,
        overlap_threshold=overlap_threshold,
    )
    key = f"t{score_threshold}_o{overlap_threshold}"
    np.testing.assert_array_equal(result.id_map, numbers[key + ".map"])
    rows = [(s.id, s.class_index, s.area_px) for s in result.segments]
    assert rows == [tuple(row) for row in numbers[key + ".segments"].tolist()]


def test_semantic_on_the_same_queries():
    numbers = np.load(DATA / "panoptic_synthetic.npz")
    result = answer(numbers["class_logits"], numbers["mask_logits"], ((60, 80),) * 3, "semantic")
    np.testing.assert_array_equal(result.id_map - 1, numbers["semantic_argmax"])


@pytest.mark.parametrize(
    ("case", "key", "score_threshold", "original_hw"),
    [
        ("own_size", "own_size.t0.8", 0.8, OWN_HW),
        ("own_size", "own_size.t0.7", 0.7, OWN_HW),
        ("own_size", "own_size.t0.3", 0.3, OWN_HW),
        ("own_size", "own_size.t0.8.resized", 0.8, RESIZED_HW),
        ("multiple_of_32", "multiple_of_32.t0.7", 0.7, OWN_HW),
    ],
)
def test_panoptic_of_a_network(case, key, score_threshold, original_hw):
    """`own_size` is enlarged from 25x33 straight to 97x131, a factor that is not 4."""
    numbers = np.load(DATA / "panoptic_network.npz")
    result = answer(
        numbers[case + ".class_logits"],
        numbers[case + ".mask_logits"],
        (tuple(numbers[case + ".padded_hw"].tolist()), OWN_HW, original_hw),
        "panoptic",
        score_threshold=score_threshold,
    )
    assert_equal_where_decided(result.id_map, numbers[key + ".map"], numbers[key + ".decided"])


@pytest.mark.parametrize(
    ("case", "key", "scores_at", "original_hw"),
    [
        ("maskformer", "maskformer", "input", OWN_HW),
        ("maskformer", "maskformer.resized", "input", RESIZED_HW),
        ("maskformer", "logits_first.resized", "output", RESIZED_HW),
        ("per_pixel", "per_pixel", "input", OWN_HW),
        ("per_pixel", "per_pixel.resized", "input", RESIZED_HW),
    ],
)
def test_semantic_of_a_network(case, key, scores_at, original_hw):
    numbers = np.load(DATA / "semantic_network.npz")
    class_logits = numbers[case + ".class_logits"] if case == "maskformer" else None
    result = answer(
        class_logits,
        numbers[case + ".mask_logits"],
        (tuple(numbers[case + ".padded_hw"].tolist()), OWN_HW, original_hw),
        "semantic",
        scores_at=scores_at,
    )
    assert_equal_where_decided(result.id_map - 1, numbers[key + ".map"], numbers[key + ".decided"])
