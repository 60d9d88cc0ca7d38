import numpy as np
import pytest

from model.config import ClassInfo, Taxonomy
from model.data.example import Example, ExampleSegment
from model.data.show import as_segmentation, sheet, shrink
from model.evaluation.pictures import comparison, confusion_picture


def example() -> Example:
    ids = np.ones((20, 40), np.int32)
    ids[5:10, 5:20] = 2
    segments = (ExampleSegment(1, 0), ExampleSegment(2, 1))
    return Example(np.full((20, 40, 3), 90, np.uint8), ids, segments)


TAXONOMY = Taxonomy(
    name="two",
    classes=(
        ClassInfo(name="sky", category_id=0, is_thing=False, color=(0, 0, 255)),
        ClassInfo(name="car", category_id=1, is_thing=True, color=(255, 0, 0)),
    ),
)


def test_truth_as_an_answer() -> None:
    answer = as_segmentation(example())
    rows = [(s.id, s.class_index, s.area_px, s.bbox_xywh) for s in answer.segments]
    assert rows == [(1, 0, 725, (0, 0, 40, 20)), (2, 1, 75, (5, 5, 15, 5))]


def test_shrinking_keeps_the_list_of_what_is_left() -> None:
    small = shrink(example(), 8)
    assert small.panoptic.shape == (4, 8) and small.image.shape == (4, 8, 3)
    assert {s.id for s in small.segments} == set(np.unique(small.panoptic).tolist())
    assert shrink(example(), 400).panoptic.shape == (20, 40)


def test_a_comparison_has_three_panels() -> None:
    page = comparison(example(), as_segmentation(example()), TAXONOMY)
    assert page.size == (3 * 40 + 2 * 4, 20)
    assert page.getpixel((2, 18)) == (90, 90, 90) != page.getpixel((46, 18))
    assert sheet([page] * 5, columns=4).size == (4 * 128 + 12, 44)


@pytest.mark.parametrize("classes", [1, 2, 40, 150, 847])
def test_confusion_is_darkest_where_most_of_a_class_went(classes: int) -> None:
    confusion = np.zeros((classes + 1, classes + 1), np.int64)
    confusion[classes - 1, 0] = 1000  # class 0 was taken for the last one
    page = confusion_picture(confusion, [f"class {i}" for i in range(classes)])
    assert max(page.size) < 3000
    grey = np.asarray(page.convert("L"))
    right_half = grey[:, grey.shape[1] // 2 :]
    assert right_half.min() < 80
