from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from model.data.readers.coco_instance import CocoInstance
from model.data.readers.coco_panoptic import CocoPanoptic
from model.errors import DatasetError
from tests.model.data.readers.files import coco_instance, coco_panoptic, ids_png, taxonomy

CLASSES = taxonomy("ground", "cell", things=("cell",))


def panoptic(root: Path, **changes: Any) -> CocoPanoptic:
    path = coco_panoptic(root, **changes)
    return CocoPanoptic(path, root / "train", root / "panoptic_train", CLASSES)


def test_panoptic_ids_become_small_and_categories_go_by_name(tmp_path: Path) -> None:
    source = panoptic(tmp_path)
    example = source[0]
    assert len(source) == 1 and source.name(0) == "one.webp"
    np.testing.assert_array_equal(example.panoptic, [[2, 2, 3, 0], [1, 1, 1, 1]])
    rows = [(s.id, s.class_index, s.is_crowd) for s in example.segments]
    assert rows == [(1, 0, False), (2, 1, False), (3, 1, True)]
    assert example.image[1, 3, 0] == 7


def test_without_names_categories_go_by_id(tmp_path: Path) -> None:
    source = panoptic(tmp_path, categories=[])
    with pytest.raises(DatasetError, match=r"one\.png, got 7"):
        source[0]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[1000, 70000, 5, 3]] * 2, r"lists in .*one\.png, got 5"),
        ([[1000, 70000, 70000, 0]] * 2, r"expected pixels of segment 3 in .*one\.png"),
        ([[1000, 70000, 3]], r"one\.webp to be 3 x 1 px"),
    ],
)
def test_ids_must_agree(tmp_path: Path, ids: Any, message: str) -> None:
    source = panoptic(tmp_path)
    ids_png(tmp_path / "panoptic_train" / "one.png", ids)
    with pytest.raises(DatasetError, match=message):
        source[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": []}, "expected annotations in"),
        ({"annotations": [{"image_id": 5}]}, "expected 'file_name'"),
        ({"images": [{"id": 6, "file_name": "x"}]}, "image ids listed in .*, got 5"),
        ({"images": [{}]}, "expected 'id'"),
    ],
)
def test_json_that_contradicts_itself_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        panoptic(tmp_path, **changes)


def test_no_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected JSON at .*, got no such file"):
        CocoPanoptic(tmp_path / "x.json", tmp_path, tmp_path, CLASSES)


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def instances(root: Path, segmentations: list[Any], **changes: Any) -> CocoInstance:
    return CocoInstance(coco_instance(root, segmentations, **changes), root / "images", CLASSES)


def test_the_smaller_instance_lies_in_front(tmp_path: Path) -> None:
    for order in (1, -1):
        boxes = [box(0, 0, 8, 8), box(2, 2, 4, 4)][::order]
        example = instances(tmp_path, boxes)[0]
        areas = sorted(int((example.panoptic == s.id).sum()) for s in example.segments)
        assert areas == [4, 60]
        assert all(s.class_index == 1 for s in example.segments)


def test_run_lengths_plain_and_compressed(tmp_path: Path) -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[3:5, 6:9] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))
    packed["counts"] = packed["counts"].decode()
    plain = {"size": [10, 10], "counts": [63, 2, 8, 2, 8, 2, 15]}
    for segmentation in (packed, plain):
        example = instances(tmp_path, [segmentation])[0]
        np.testing.assert_array_equal(example.panoptic, mask)


def test_a_picture_may_have_no_instance_and_a_hidden_one_is_left_out(tmp_path: Path) -> None:
    empty = instances(tmp_path, [])[0]
    assert empty.segments == () and not empty.panoptic.any()
    twins = instances(tmp_path, [box(0, 0, 4, 4)] * 2)[0]
    assert len(twins.segments) == 1


@pytest.mark.parametrize("segmentation", [[], "x", {"counts": []}, [[1, 2]], {"size": [3, 3]}, 5])
def test_what_is_no_mask_is_refused(tmp_path: Path, segmentation: Any) -> None:
    source = instances(tmp_path, [segmentation])
    with pytest.raises(DatasetError, match=r"one\.png"):
        source[0]


def test_an_unknown_category_is_refused(tmp_path: Path) -> None:
    source = instances(tmp_path, [box(0, 0, 4, 4)], categories=[{"id": 4, "name": "alien"}])
    with pytest.raises(DatasetError, match=r"class list for .*one\.png, got 4"):
        source[0]
    with pytest.raises(DatasetError, match="expected pictures"):
        instances(tmp_path, [], images=[])
