import numpy as np
import pytest

from model.data.example import Example, ExampleSegment
from model.evaluation.instance import InstanceRows
from model.inference.masks import box_of_mask, runs_of_mask
from model.structures import Segment, Segmentation

HW = (20, 30)


def square(top: int, left: int, side: int = 8) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def truth(*masks: np.ndarray, crowd: tuple[int, ...] = (), class_index: int = 1) -> Example:
    ids = np.zeros(HW, np.int32)
    for id_, mask in enumerate(masks, 1):
        ids[mask] = id_
    segments = tuple(ExampleSegment(i, class_index, i in crowd) for i in range(1, len(masks) + 1))
    return Example(np.zeros((*HW, 3), np.uint8), ids, segments)


def answer(*found: tuple[np.ndarray, float]) -> Segmentation:
    rows = tuple(
        Segment(i, 1, score, int(mask.sum()), box_of_mask(mask))
        for i, (mask, score) in enumerate(found, 1)
    )
    runs = tuple(runs_of_mask(mask) for mask, _ in found)
    return Segmentation("instance", np.zeros(HW, np.int32), rows, runs)


A, B = square(0, 0), square(10, 10)


def scored(*pictures: tuple[Example, Segmentation]) -> InstanceRows:
    rows = InstanceRows([False, True])
    for example, segmentation in pictures:
        rows.add(example, segmentation)
    return rows


def test_exact_masks_score_one() -> None:
    scores = scored((truth(A, B), answer((A, 0.9), (B, 0.8)))).scores()
    assert (scores.ap, scores.ap50, scores.ap75) == pytest.approx((1, 1, 1))
    assert np.isnan(scores.per_class[0]) and scores.per_class[1] == pytest.approx(1)


def test_a_confident_mistake_costs_precision_at_every_recall() -> None:
    """Precision after the wrong one first: 1/2 at half the recall, 2/3 at all of it."""
    wrong = square(12, 0)
    rows = scored((truth(A, B), answer((wrong, 0.99), (A, 0.9), (B, 0.8))))
    assert rows.scores().ap50 == pytest.approx(2 / 3)


def test_a_loose_mask_counts_at_low_ious_only() -> None:
    wider = square(0, 0, 9)  # IoU 64 / 81 = 0.79: right at 6 of the 10 thresholds
    scores = scored((truth(A), answer((wider, 0.9)))).scores()
    assert (scores.ap, scores.ap50, scores.ap75) == pytest.approx((0.6, 1, 1))


def test_what_lies_in_a_crowd_is_no_mistake() -> None:
    rows = scored((truth(A, B, crowd=(2,)), answer((B, 0.99), (A, 0.9))))
    assert rows.scores().ap == pytest.approx(1)


def test_a_picture_without_answers_and_answers_beyond_the_limit() -> None:
    rows = scored((truth(A), answer()), (truth(B), answer((B, 0.5))))
    assert rows.scores().ap == pytest.approx(51 / 101)
    assert scored((truth(A, B), answer((A, 0.9), (B, 0.8)))).scores(1).ap50 < 0.6


def test_without_things_there_is_no_score() -> None:
    scores = scored((truth(A, class_index=0), answer((A, 0.9)))).scores()
    assert np.isnan(scores.ap) and np.isnan(scores.per_class).all()
