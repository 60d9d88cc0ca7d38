"""The verb `import`."""

import pytest
import typer
from typer.testing import CliRunner

from cli.import_ import import_model
from model.artifact import load_artifact
from model.errors import CheckpointError
from model.export import to_onnx
from tests.model.checkpoints.samples import ARCHITECTURES, original_state, write_pickle


@pytest.fixture
def run():
    app = typer.Typer()
    app.command(name="import")(import_model)
    return lambda *args: CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=True)


@pytest.fixture
def source(tmp_path):
    return write_pickle(tmp_path / "model.pkl", original_state(ARCHITECTURES["swin"]))


def test_flags_notes_and_the_next_command(tmp_path, run, source):
    made = tmp_path / "made"
    result = run(
        *(source, made, "--no-onnx", "--shortest-edge", 64, "--longest-edge", 96, "--pad-to", 8),
        *("--things", "class_0", "--things", "class_2", "--decoder-heads", 4),
    )
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("MaskFormer, Swin")
    assert lines[-1] == f"next: MASKFORMER_MODELS={made} make serve"
    manifest = load_artifact(made).manifest
    assert manifest.preprocessing.shortest_edge_px == 64
    assert manifest.preprocessing.pad_to_px == 8
    assert sum(c.is_thing for c in manifest.taxonomy.classes) == 2
    assert manifest.architecture.transformer_decoder.heads == 4


def test_the_graph_is_written_too(tmp_path, run, source, monkeypatch):
    exported = []

    def export_onnx(artifact):
        exported.append(artifact)
        return artifact

    monkeypatch.setattr(to_onnx, "export_onnx", export_onnx)  # the real one takes a while
    result = run(source, tmp_path / "made")
    assert result.exit_code == 0, result.output
    assert exported == [load_artifact(tmp_path / "made")]


def test_an_error_is_left_to_the_command(tmp_path, run, source):
    result = run(source, tmp_path / "made", "--preset", "cityscapes")
    assert isinstance(result.exception, CheckpointError)
