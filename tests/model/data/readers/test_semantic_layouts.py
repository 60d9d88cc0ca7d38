from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from model.data.readers.ade20k import open_ade20k, open_ade20k_full
from model.data.readers.cityscapes import CityscapesPanoptic, open_cityscapes
from model.data.readers.coco_stuff import open_coco_stuff
from model.data.readers.mapillary import open_mapillary
from model.data.readers.own_folder import open_own_folder, read_classes
from model.errors import DatasetError
from tests.model.data.readers.files import labels, own_folder, picture, taxonomy

THREE = taxonomy("wall", "sky", "car", things=("car",), first_id=1)
CITY = taxonomy("road", "sidewalk", things=("sidewalk",), first_id=7)


def test_ade20k_has_category_ids_and_0_is_void(tmp_path: Path) -> None:
    picture(tmp_path / "images/training/a.jpg", (1, 4))
    labels(tmp_path / "annotations/training/a.png", [[0, 1, 3, 3]])
    source = open_ade20k(tmp_path, "train", THREE)
    assert len(source) == 1 and source.name(0) == "a.jpg"
    example = source[0]
    np.testing.assert_array_equal(example.panoptic, [[0, 1, 3, 3]])
    assert [(s.id, s.class_index) for s in example.segments] == [(1, 0), (3, 2)]


def test_ade20k_without_subfolders(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg", (1, 2))
    labels(tmp_path / "annotations/a.png", [[0, 1]])
    assert len(open_ade20k(tmp_path, "val", THREE)) == 1


def test_full_ade20k_has_16_bits(tmp_path: Path) -> None:
    picture(tmp_path / "images_detectron2/validation/a.jpg", (1, 3))
    labels(tmp_path / "annotations_detectron2/validation/a.tif", [[65535, 0, 846]], np.uint16)
    many = taxonomy(*[f"class {i}" for i in range(847)])
    example = open_ade20k_full(tmp_path, "val", many)[0]
    np.testing.assert_array_equal(example.panoptic, [[0, 1, 847]])


def test_coco_stuff_counts_from_2(tmp_path: Path) -> None:
    (tmp_path / "imageLists").mkdir()
    (tmp_path / "imageLists/test.txt").write_text("COCO_1\n", encoding="utf-8")
    picture(tmp_path / "images/COCO_1.jpg", (1, 3))
    (tmp_path / "annotations").mkdir()
    savemat(tmp_path / "annotations/COCO_1.mat", {"S": np.array([[1, 2, 4]], np.uint16)})
    source = open_coco_stuff(tmp_path, "val", THREE)
    np.testing.assert_array_equal(source[0].panoptic, [[0, 1, 3]])
    savemat(tmp_path / "annotations/COCO_1.mat", {"S": np.array([[0, 2, 4]], np.uint16)})
    with pytest.raises(DatasetError, match=r"COCO_1\.mat, got 0"):
        source[0]
    with pytest.raises(DatasetError, match=r"train\.txt"):
        open_coco_stuff(tmp_path, "train", THREE)


def test_a_broken_matlab_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "imageLists").mkdir()
    (tmp_path / "imageLists/train.txt").write_text("x", encoding="utf-8")
    source = open_coco_stuff(tmp_path, "train", THREE)
    with pytest.raises(DatasetError, match=r"x\.mat"):
        source[0]
    (tmp_path / "annotations").mkdir()
    savemat(tmp_path / "annotations/x.mat", {"T": np.zeros((1, 1))})
    with pytest.raises(DatasetError, match=r"MATLAB file with `S`"):
        source[0]


def test_mapillary_ignores_65(tmp_path: Path) -> None:
    picture(tmp_path / "training/images/a.jpg", (1, 3))
    labels(tmp_path / "training/labels/a.png", [[0, 2, 65]])
    np.testing.assert_array_equal(open_mapillary(tmp_path, "train", THREE)[0].panoptic, [[1, 3, 0]])


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    picture(tmp_path / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", (1, 6))
    stem = tmp_path / "gtFine/val/ulm/ulm_1_gtFine"
    labels(Path(f"{stem}_labelIds.png"), [[7, 7, 8, 8, 8, 0]])
    values = [[7, 7, 8000, 8001, 8, 0]]
    labels(Path(f"{stem}_instanceIds.png"), values, np.uint16)
    return tmp_path


def test_cityscapes_label_ids(cityscapes: Path) -> None:
    source = open_cityscapes(cityscapes, "val", CITY)
    assert source.name(0) == "ulm_1_leftImg8bit.png"
    np.testing.assert_array_equal(source[0].panoptic, [[1, 1, 2, 2, 2, 0]])


def test_cityscapes_instances_and_groups(cityscapes: Path) -> None:
    source = CityscapesPanoptic(cityscapes, "val", CITY)
    example = source[0]
    assert len(source) == 1 and source.name(0).startswith("ulm")
    np.testing.assert_array_equal(example.panoptic, [[1, 1, 3, 4, 2, 0]])
    rows = [(s.id, s.class_index, s.is_crowd) for s in example.segments]
    assert rows == [(1, 0, False), (2, 1, True), (3, 1, False), (4, 1, False)]
    labels(cityscapes / "gtFine/val/ulm/ulm_1_gtFine_instanceIds.png", [[65000] * 6], np.uint16)
    with pytest.raises(DatasetError, match="got 65000"):
        source[0]


def test_own_folder(tmp_path: Path) -> None:
    root = own_folder(tmp_path)
    classes = read_classes(root)
    source = open_own_folder(root, "train", classes)
    assert [c.name for c in classes.classes] == ["sky", "road"] and len(source) == 2
    np.testing.assert_array_equal(source[1].panoptic, [[1, 1, 2], [2, 0, 2]])
    assert source[0].image[1, 2, 0] == 5


def test_own_values_need_not_be_places(tmp_path: Path) -> None:
    root = own_folder(tmp_path, [[10, 0, 20], [20, 20, 20]])
    text = (
        '{"ignore_index": 0, "classes": [{"index": 10, "name": "a"}, {"index": 20, "name": "b"}]}'
    )
    (root / "classes.json").write_text(text, encoding="utf-8")
    example = open_own_folder(root, "val", read_classes(root))[0]
    np.testing.assert_array_equal(example.panoptic, [[1, 0, 2], [2, 2, 2]])


def test_a_value_never_wraps(tmp_path: Path) -> None:
    root = own_folder(tmp_path, [[0, 2, 1], [0, 0, 256 - 1]])
    source = open_own_folder(root, "val", read_classes(root))
    with pytest.raises(DatasetError, match=r"labels/c\.png, got 2$"):
        source[0]


def test_what_contradicts_itself_is_told(tmp_path: Path) -> None:
    root = own_folder(tmp_path)
    classes = read_classes(root)
    with pytest.raises(DatasetError, match="expected the classes x in"):
        open_own_folder(root, "train", taxonomy("x"))
    with pytest.raises(DatasetError, match="expected a folder at"):
        open_own_folder(root, "test", classes)
    picture(root / "train/images/a.png", (9, 9))
    with pytest.raises(DatasetError, match=r"a\.png to be 3 x 2 px like its annotation, got 9 x 9"):
        open_own_folder(root, "train", classes)[0]
    (root / "train/labels/b.png").unlink()
    with pytest.raises(DatasetError, match="only one of them for 1 names, such as 'b'"):
        open_own_folder(root, "train", classes)
    (root / "val/labels/c.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="expected a picture at"):
        open_own_folder(root, "val", classes)[0]
    picture(root / "val/labels/c.png", (2, 3))
    with pytest.raises(DatasetError, match="one channel of labels"):
        open_own_folder(root, "val", classes)[0]
    text = '{"classes": [{"index": 1, "name": "a"}, {"index": 1, "name": "b"}]}'
    (root / "classes.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="a different index per class"):
        read_classes(root)
    (root / "classes.json").unlink()
    with pytest.raises(DatasetError, match="expected a class list"):
        read_classes(root)


def test_an_orientation_that_fits_the_labels_is_taken(tmp_path: Path) -> None:
    from PIL import Image

    root = own_folder(tmp_path)
    turned = Image.new("RGB", (2, 3), (7, 7, 7))
    exif = turned.getexif()
    exif[0x0112] = 6  # stored upright, to be shown turned by 90 degrees: 3 x 2
    turned.save(root / "val/images/c.png", exif=exif)
    assert open_own_folder(root, "val", read_classes(root))[0].image.shape == (2, 3, 3)
