import json
from pathlib import Path

import numpy as np
import pytest

from model.data.example import Example, ExampleSegment
from model.errors import DatasetError
from model.evaluation.panoptic import count_segments, panoptic_scores

FOLDER = Path(__file__).parents[2] / "data" / "metrics"
FACTS = json.loads((FOLDER / "panoptic.json").read_text(encoding="utf-8"))
MAPS = np.load(FOLDER / "panoptic.npz")
IMAGE = np.zeros((1, 1, 3), np.uint8)


@pytest.mark.parametrize("pair", sorted(FACTS["pairs"]))
def test_scores_are_the_references(pair: str) -> None:
    truth_name, predicted_name = pair.split("__")
    categories = FACTS["categories"][truth_name]
    index = {category: i for i, (category, _) in enumerate(categories)}
    counts = np.zeros((len(categories), 4))
    for i, rows in enumerate(FACTS["sets"][truth_name]):
        segments = tuple(ExampleSegment(n, index[c], bool(crowd)) for n, c, crowd in rows)
        truth = Example(IMAGE, MAPS[f"{truth_name}.{i}"].astype(np.int32), segments)
        classes = {n: index[c] for n, c, _ in FACTS["sets"][predicted_name][i]}
        predicted = MAPS[f"{predicted_name}.{i}"]
        counts += count_segments(predicted, classes, truth, len(categories))
    scores = panoptic_scores(counts, [bool(thing) for _, thing in categories])
    expected = FACTS["pairs"][pair]
    for name, actual in (("All", scores.all), ("Things", scores.things), ("Stuff", scores.stuff)):
        for key in ("pq", "sq", "rq"):
            assert getattr(actual, key) == pytest.approx(expected[name][key], abs=1e-6)
        assert actual.classes == expected[name]["n"]
    for category, numbers in expected["counts"].items():
        row = [numbers[key] for key in ("sum_iou", "tp", "fp", "fn")]
        np.testing.assert_allclose(counts[index[int(category)]], row, atol=1e-6)
    for category, numbers in expected["per_class"].items():
        quality = scores.per_class[index[int(category)]]
        assert quality is not None
        assert quality.pq == pytest.approx(numbers["pq"], abs=1e-6)


def square(*segments: ExampleSegment) -> Example:
    """4 x 4 pixels: segment 1 on the left; on the right segment 2 if there is one, or void."""
    ids = np.zeros((4, 4), np.int32)
    ids[:, :2] = 1
    ids[:, 2:] = 2 if len(segments) > 1 else 0
    return Example(IMAGE, ids, segments)


def test_the_truth_itself_scores_one() -> None:
    truth = square(ExampleSegment(1, 0), ExampleSegment(2, 1))
    counts = count_segments(truth.panoptic, {1: 0, 2: 1}, truth, 2)
    assert panoptic_scores(counts, [True, False]).all.pq == 1


def test_the_same_place_with_another_class_is_one_miss_and_one_false_alarm() -> None:
    truth = square(ExampleSegment(1, 0), ExampleSegment(2, 0))
    counts = count_segments(truth.panoptic, {1: 0, 2: 1}, truth, 2)
    np.testing.assert_array_equal(counts, [[1, 1, 0, 1], [0, 0, 1, 0]])


def test_a_segment_on_void_is_no_false_alarm() -> None:
    truth = square(ExampleSegment(1, 0))
    predicted = np.where(truth.panoptic == 0, 5, 0)
    counts = count_segments(predicted, {5: 0}, truth, 1)
    np.testing.assert_array_equal(counts, [[0, 0, 0, 1]])


def test_a_segment_on_a_crowd_of_its_class_is_no_false_alarm() -> None:
    truth = square(ExampleSegment(1, 0), ExampleSegment(2, 0, is_crowd=True))
    predicted = np.where(truth.panoptic == 2, 5, 0)
    np.testing.assert_array_equal(count_segments(predicted, {5: 0}, truth, 2)[0], [0, 0, 0, 1])
    np.testing.assert_array_equal(count_segments(predicted, {5: 1}, truth, 2)[1], [0, 0, 1, 0])


def test_without_any_segment_all_means_are_zero() -> None:
    scores = panoptic_scores(np.zeros((2, 4)), [True, False])
    assert scores.all.pq == scores.things.pq == scores.stuff.pq == 0
    assert scores.per_class == (None, None)


@pytest.mark.parametrize("classes", [{1: 0}, {1: 0, 2: 0, 3: 0}])
def test_ids_must_be_in_the_map_and_in_the_list(classes: dict[int, int]) -> None:
    truth = square(ExampleSegment(1, 0), ExampleSegment(2, 0))
    with pytest.raises(DatasetError, match="both in its map and in its list"):
        count_segments(truth.panoptic, classes, truth, 1)


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(DatasetError, match="expected a map of"):
        count_segments(np.zeros((3, 4), np.int32), {}, square(ExampleSegment(1, 0)), 1)
