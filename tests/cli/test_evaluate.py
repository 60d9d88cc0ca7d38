import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.evaluate import evaluate
from model.inference import segmenter
from tests.fakes import FakeEngine, fake_artifact, fake_manifest

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
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["images"] == 2 and len(scores["classes"]) == 14
    assert 0 <= scores["PQ"] <= 1
