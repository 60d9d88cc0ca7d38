from pathlib import Path

import numpy as np

from model.data.check import check_data
from model.data.readers.coco_panoptic import CocoPanoptic
from model.data.readers.own_folder import open_own_folder, read_classes
from tests.model.data.readers.files import coco_panoptic, labels, own_folder, taxonomy


def test_counts_pixels_segments_and_pictures(tmp_path: Path) -> None:
    root = own_folder(tmp_path)
    labels(root / "train/labels/b.png", [[255, 255, 255], [255, 255, 255]])
    classes = read_classes(root)
    report = check_data(open_own_folder(root, "train", classes), classes, queries=1)
    np.testing.assert_array_equal(report.pixels, [2, 3])
    np.testing.assert_array_equal(report.segments, [1, 1])
    np.testing.assert_array_equal(report.containing, [1, 1])
    assert (report.pictures, report.void_px, report.mean_segments) == (2, 7, 1.0)
    assert report.most_segments == (2, "a.png") and report.crowded == (("a.png", 2),)
    assert report.empty == ("b.png",) and report.problems == ()


def test_crowds_are_no_targets(tmp_path: Path) -> None:
    path = coco_panoptic(tmp_path)
    classes = taxonomy("ground", "cell", things=("cell",))
    source = CocoPanoptic(path, tmp_path / "train", tmp_path / "panoptic_train", classes)
    report = check_data(source, classes, queries=2)
    np.testing.assert_array_equal(report.segments, [1, 1])
    np.testing.assert_array_equal(report.pixels, [4, 3])
    assert report.empty == report.crowded == ()


def test_every_unreadable_picture_is_told(tmp_path: Path) -> None:
    root = own_folder(tmp_path, [[9, 9, 9], [0, 0, 0]])
    classes = read_classes(root)
    report = check_data(open_own_folder(root, "train", classes), classes, queries=1)
    assert report.pictures == 0 and report.most_segments == (0, "")
    assert len(report.problems) == 2 and "a.png, got 9" in report.problems[0]
