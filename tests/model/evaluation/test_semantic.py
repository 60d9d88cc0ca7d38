import json
from pathlib import Path

import numpy as np
import pytest

from model.evaluation.semantic import count_pixels, semantic_scores

FOLDER = Path(__file__).parents[2] / "data" / "metrics"
SETS = ("plain", "absent_classes", "many_classes_16bit", "ignore_label_zero_not_last")


def load(name: str) -> tuple[dict[str, object], np.ndarray]:
    """The reference scores, and our confusion matrix of the same maps."""
    expected = json.loads((FOLDER / f"semantic_{name}.json").read_text(encoding="utf-8"))
    maps = np.load(FOLDER / f"semantic_{name}.npz")
    classes, void = expected["num_classes"], expected["ignore_label"]
    confusion = sum(
        count_pixels(
            maps[f"pred{i}"],
            np.where(maps[f"gt{i}"] == void, classes, maps[f"gt{i}"].astype(np.int64)),
            classes,
        )
        for i in range(expected["images"])
    )
    return expected, confusion


@pytest.mark.parametrize("name", SETS)
def test_scores_are_the_references(name: str) -> None:
    expected, confusion = load(name)
    scores = semantic_scores(confusion)
    assert 100 * scores.mean_iou == pytest.approx(expected["mIoU"], abs=1e-6)
    assert 100 * scores.weighted_iou == pytest.approx(expected["fwIoU"], abs=1e-6)
    assert 100 * scores.mean_accuracy == pytest.approx(expected["mACC"], abs=1e-6)
    assert 100 * scores.pixel_accuracy == pytest.approx(expected["pACC"], abs=1e-6)
    older = semantic_scores(confusion, mean_over="truth_or_prediction")
    assert 100 * older.mean_iou == pytest.approx(expected["mIoU_before_2022_07"], abs=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_classes_are_the_references(name: str) -> None:
    expected, confusion = load(name)
    scores = semantic_scores(confusion)
    for key, actual in (("IoU", scores.iou), ("ACC", scores.accuracy)):
        values = np.array(expected[key], float)  # None becomes NaN
        known = ~np.isnan(values)
        np.testing.assert_allclose(100 * actual[known], values[known], atol=1e-6)
    if expected["confusion"] is not None:
        np.testing.assert_array_equal(confusion, expected["confusion"])


def test_matrices_of_parts_add_up_to_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.integers(0, 5, (2, 20, 30))
    parts = sum(count_pixels(predicted[i::2], truth[i::2], 4) for i in range(2))
    np.testing.assert_array_equal(parts, count_pixels(predicted, truth, 4))


def test_the_truth_itself_scores_one_and_void_counts_nothing() -> None:
    truth = np.array([[0, 1, 2, -1, 7]])
    scores = semantic_scores(count_pixels(np.array([[0, 1, 2, 0, 0]]), truth, 3))
    assert scores.mean_iou == scores.weighted_iou == scores.pixel_accuracy == 1


def test_unanswered_pixels_are_wrong() -> None:
    scores = semantic_scores(count_pixels(np.array([[0, -1]]), np.array([[0, 0]]), 2))
    assert scores.mean_iou == scores.pixel_accuracy == 0.5


def test_nothing_to_score_is_undefined() -> None:
    scores = semantic_scores(count_pixels(np.array([[0]]), np.array([[-1]]), 2))
    assert np.isnan(scores.mean_iou)
