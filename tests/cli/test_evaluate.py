import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cli.evaluate import evaluate
from model.errors import DatasetError, InvalidParameterError
from model.inference import segmenter
from tests.fakes import FakeEngine, fake_artifact, fake_manifest
from tests.model.data.readers.files import labels, own_folder, picture, write_json

app = typer.Typer()
app.command()(evaluate)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of the scenes' 14 classes on an engine without a network."""
    from model.training.scene_taxonomy import SCENE_TAXONOMY

    manifest = fake_manifest()
    classes = len(SCENE_TAXONOMY.classes)
    architecture = manifest.architecture.model_copy(update={"num_classes": classes})
    changes = {"architecture": architecture, "taxonomy": SCENE_TAXONOMY}
    fake_artifact(tmp_path / "model", manifest.model_copy(update=changes))

    def load(*_: object, **__: object) -> segmenter.Segmenter:
        artifact = segmenter.load_artifact(tmp_path / "model")
        return segmenter.Segmenter(artifact, FakeEngine(num_classes=classes))

    monkeypatch.setattr(segmenter.Segmenter, "load", load)
    return tmp_path / "model"


def test_prints_a_row_per_class_and_writes_json(model: Path, tmp_path: Path) -> None:
    arguments = [str(model), "--scenes", "2", "--height-px", "64", "--width-px", "96"]
    answer = CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "scores.json")])
    assert answer.exit_code == 0, answer.output
    for word in ("sky", "bicycle", "IoU", "PQ", "2 pictures", "mIoU"):
        assert word in answer.output
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["images"] == 2 and len(scores["classes"]) == 14
    assert 0 <= scores["PQ"] <= 1
    assert [picture["name"] for picture in scores["pictures"]] == ["scene 1000000", "scene 1000001"]


def test_own_data_are_scored_and_shown(model: Path, tmp_path: Path) -> None:
    from model.training.scene_taxonomy import SCENE_TAXONOMY

    root = tmp_path / "own"
    picture(root / "val/images/a.png", (64, 64))
    labels(root / "val/labels/a.png", np.kron([[0, 1], [13, 255]], np.ones((32, 32))))
    classes = [{"name": c.name} for c in SCENE_TAXONOMY.classes]
    write_json(root / "classes.json", {"classes": classes})
    arguments = [str(model), "--data", str(root), "--output", str(tmp_path / "out"), "--views"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    assert "1 pictures: mIoU" in answer.output and "mIoU_union" in answer.output
    written = sorted(p.name for p in (tmp_path / "out").rglob("*.*"))
    assert written[1:] == ["confusion.png", "scores.json"] and written[0].endswith("_a.jpg")


def test_other_classes_and_parts_are_refused(model: Path, tmp_path: Path) -> None:
    root = own_folder(tmp_path / "own")
    answer = CliRunner().invoke(app, [str(model), "--data", str(root)])
    assert isinstance(answer.exception, DatasetError)
    assert "expected the classes" in str(answer.exception)
    answer = CliRunner().invoke(app, [str(model), "--preset", "nuclei", "--part", "test"])
    assert isinstance(answer.exception, InvalidParameterError)
    answer = CliRunner().invoke(app, [str(model), "--preset", "nuclei", "--data", str(tmp_path)])
    assert isinstance(answer.exception, DatasetError)


def test_tiles_are_scored_and_need_a_size(model: Path) -> None:
    arguments = [str(model), "--scenes", "1", "--height-px", "64", "--width-px", "96"]
    answer = CliRunner().invoke(app, [*arguments, "--tile", "64"])
    assert answer.exit_code == 0, answer.output
    assert "1 pictures: mIoU" in answer.output
    answer = CliRunner().invoke(app, [*arguments, "--tile", "1"])
    assert isinstance(answer.exception, InvalidParameterError)
    answer = CliRunner().invoke(app, [*arguments, "--tile", "64", "--views"])
    assert isinstance(answer.exception, InvalidParameterError)
