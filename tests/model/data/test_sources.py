from pathlib import Path

import pytest

from model.data.detect import detect_data
from model.data.sources import (
    UNSEEN_SEED,
    CocoData,
    FolderData,
    LayoutData,
    SceneData,
    open_part,
)
from model.errors import DatasetError
from tests.model.data.readers.files import coco_instance, coco_panoptic, own_folder, taxonomy

CLASSES = taxonomy("sky", "road")


def test_an_own_folder_is_recognised(tmp_path: Path) -> None:
    data, classes = detect_data(own_folder(tmp_path))
    assert isinstance(data, FolderData) and [c.name for c in classes.classes] == ["sky", "road"]
    assert len(open_part(data, "train", classes)) == 2
    assert open_part(data, "val", classes).name(0) == "c.png"


def test_coco_panoptic_is_recognised_by_either_path(tmp_path: Path) -> None:
    file = coco_panoptic(tmp_path, "train2017")
    coco_panoptic(tmp_path, "val2017")
    for path, val in ((tmp_path, "val2017"), (file, "train2017")):
        data, classes = detect_data(path)
        assert isinstance(data, CocoData)
        assert Path(data.train.images).name == "train2017" and Path(data.val.images).name == val
        assert [(c.name, c.category_id, c.is_thing) for c in classes.classes] == [
            ("cell", 7, True),
            ("ground", 9, False),
        ]
        assert len(open_part(data, "val", classes)[0].segments) == 3


def test_coco_instances_are_recognised(tmp_path: Path) -> None:
    file = coco_instance(tmp_path, [[[0, 0, 4, 0, 4, 4]]])
    for path in (tmp_path, file):
        data, classes = detect_data(path)
        assert isinstance(data, CocoData) and data.train.panoptic is None
        assert classes.classes[0].is_thing
        assert len(open_part(data, "train", classes)[0].segments) == 1


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected a folder with classes\.json, or COCO"):
        detect_data(tmp_path)
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DatasetError, match="expected 'images'"):
        detect_data(tmp_path)
    file = coco_panoptic(tmp_path / "p")
    (tmp_path / "p/train/one.webp").unlink()
    with pytest.raises(DatasetError, match=r"expected one\.webp of .* in a folder near it"):
        detect_data(file)


def test_scenes_to_score_on_are_never_trained_on(tmp_path: Path) -> None:
    data = SceneData(count=3, hw=(32, 32), cache_dir=str(tmp_path))
    assert len(open_part(data, "train", CLASSES)) == 3
    unseen = open_part(data, "val", CLASSES, scenes=7)
    assert len(unseen) == 7 and unseen.name(0) == f"scene {UNSEEN_SEED}"


def test_a_missing_root_is_told(tmp_path: Path) -> None:
    data = LayoutData(layout="ade20k", root=str(tmp_path / "nothing"))
    with pytest.raises(DatasetError, match="got no such folder"):
        open_part(data, "train", CLASSES)
