from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from model.errors import DatasetError, InvalidParameterError
from tests.model.data.readers.files import coco_instance, coco_panoptic, labels, own_folder

runner = CliRunner()


def check(*arguments: object) -> tuple[str, BaseException | None]:
    answer = runner.invoke(app, ["data", "check", *map(str, arguments)])
    return answer.output, answer.exception


def test_says_what_is_in_an_own_folder(tmp_path: Path) -> None:
    output, error = check(own_folder(tmp_path / "own"), "--output", tmp_path / "sheets")
    assert error is None
    for line in (
        "sky            33.33%         2         2",
        "road           50.00%         2         2",
        "(unlabelled)   16.67%",
        "2 pictures, 2.0 segments each, at most 2 (a.png)",
        "pictures without objects: 0",
    ):
        assert line in output
    for part in ("train", "val"):
        with Image.open(tmp_path / "sheets" / f"{part}.jpg") as sheet:
            assert sheet.width >= 3


def test_values_outside_the_classes_end_in_an_error_after_all_was_read(tmp_path: Path) -> None:
    root = own_folder(tmp_path / "own")
    labels(root / "train/labels/b.png", [[7, 0, 0], [0, 0, 0]])
    output, error = check(root, "--output", tmp_path)
    assert "b.png, got 7" in output and "1 pictures, 2.0 segments" in output
    assert isinstance(error, DatasetError) and "got 1 with a problem" in str(error)


def test_crowded_and_empty_pictures_are_named(tmp_path: Path) -> None:
    box = [[0, 0, 4, 0, 4, 4, 0, 4]]
    other = [[5, 5, 9, 5, 9, 9, 5, 9]]
    path = coco_instance(tmp_path / "crowded", [box, other])
    output, _ = check(path, "--queries", 1, "--output", tmp_path)
    assert "with more segments than 1 queries: 1\n  one.png (2)" in output
    two = [{"id": i, "file_name": f"{i}.png", "height": 10, "width": 10} for i in (1, 2)]
    path = coco_instance(tmp_path / "empty", [box], images=two)
    for name in ("1.png", "2.png"):
        Image.new("RGB", (10, 10)).save(path.parent / "images" / name)
    assert "without objects: 1\n  2.png" in check(path, "--output", tmp_path)[0]


def test_a_preset_gives_layout_classes_and_queries(tmp_path: Path) -> None:
    root = tmp_path / "ade"
    labels(root / "annotations/a.png", [[0, 1, 150]])
    (root / "images").mkdir()
    Image.new("RGB", (3, 1)).save(root / "images/a.jpg")
    output, error = check(root, "--preset", "ade20k_maskformer_r50", "--output", tmp_path)
    assert error is None and "flag" in output and "than 100 queries" in output
    _, error = check(root, "--preset", "scenes")
    assert isinstance(error, InvalidParameterError)


def test_a_class_list_can_be_given(tmp_path: Path) -> None:
    root = coco_panoptic(tmp_path / "data").parents[1]
    list_ = tmp_path / "classes.json"
    list_.write_text('["ground"]', encoding="utf-8")
    output, error = check(root, "--taxonomy", list_, "--output", tmp_path)
    assert "class list for" in output and isinstance(error, DatasetError)
