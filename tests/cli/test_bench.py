import json
from pathlib import Path

import pytest
import torch

from cli.bench import bench
from model.errors import InvalidParameterError
from model.export.to_onnx import export_onnx
from tests.fakes import fake_artifact, paint, to_bytes
from tests.model.export.samples import make_artifact
from tests.model.network import tiny


def test_engines_and_stages_are_told_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = export_onnx(make_artifact(tmp_path / "model", tiny.PER_PIXEL, torch.float16))
    picture, written = tmp_path / "a.png", tmp_path / "speed.json"
    picture.write_bytes(to_bytes(paint(model, [[0, 1]])))
    bench(str(model.folder), [picture], 0, written)
    lines = capsys.readouterr().out
    assert "pictures/s" in lines
    assert "openvino     float32" in lines
    assert "postprocess" in lines
    content = json.loads(written.read_text(encoding="utf-8"))
    assert content["model_hash"] == model.hash
    assert {row["engine"] for row in content["engines"]} == {"openvino", "onnxruntime", "torch"}
    assert content["stages"][0]["stage"] == "decode"


def test_a_picture_that_is_not_there_is_refused(tmp_path: Path) -> None:
    model = fake_artifact(tmp_path / "model")
    with pytest.raises(InvalidParameterError, match="expected a picture for --input"):
        bench(str(model.folder), [tmp_path / "none.jpg"], 0, None)
