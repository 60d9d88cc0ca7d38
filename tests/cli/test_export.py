from pathlib import Path

import pytest
import torch

from cli.export import export
from model.artifact import GRAPH, load_artifact
from model.errors import EngineError, InvalidParameterError
from model.export import parity
from tests.model.export.samples import make_artifact
from tests.model.network import tiny


def test_the_graph_is_written_compared_and_left_out_where_it_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(tmp_path, tiny.PER_PIXEL, torch.float16)
    export(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["openvino", "onnxruntime"]
    assert lines[2].endswith(load_artifact(tmp_path).hash)
    assert load_artifact(tmp_path).find("onnx") == tmp_path / GRAPH

    def differ(*_: object) -> None:
        raise EngineError("differs")

    monkeypatch.setattr(parity, "check_parity", differ)
    monkeypatch.setattr("model.export.to_onnx.export_onnx", lambda artifact: artifact)
    with pytest.raises(EngineError, match="differs"):
        export(tmp_path)
    assert load_artifact(tmp_path).find("onnx") is None


@pytest.mark.parametrize(("format", "output"), [("onnx", Path("x")), ("huggingface", None)])
def test_output_belongs_to_huggingface(tmp_path: Path, format: str, output: Path | None) -> None:
    with pytest.raises(InvalidParameterError, match="expected --output with --format huggingface"):
        export(tmp_path, format, output)  # type: ignore[arg-type]
