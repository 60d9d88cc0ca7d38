from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from model.artifact import Artifact, load_artifact
from model.errors import EngineError, ImageError, InvalidParameterError
from model.export.quantize import GRAPH_INT8, quantize_onnx, withdraw_int8
from model.export.to_onnx import export_onnx
from model.inference.engines import load_engine
from tests.model.export.samples import make_artifact
from tests.model.network import tiny


def draw(folder: Path, count: int = 2) -> list[Path]:
    random = np.random.default_rng(0)
    paths = [folder / f"{index}.png" for index in range(count)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (64, 96, 3), np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("int8")
    exported = export_onnx(make_artifact(folder / "model", tiny.ALL["resnet"]))
    preprocessing = exported.manifest.preprocessing.model_copy(update={"shortest_edge_px": 64})
    manifest = exported.manifest.model_copy(update={"preprocessing": preprocessing})
    (folder / "model" / "artifact.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    return quantize_onnx(load_artifact(folder / "model"), draw(folder))


@pytest.mark.slow
def test_products_are_quantised_in_a_file_of_its_own(quantized: Artifact) -> None:
    path = quantized.find("onnx_int8")
    assert path == quantized.folder / GRAPH_INT8
    assert quantized.manifest.files[GRAPH_INT8].dtype == "int8"
    graph = onnx.load(path, load_external_data=False).graph
    assert Counter(node.op_type for node in graph.node)["DequantizeLinear"] > 20
    assert all(not tensor.external_data for tensor in graph.initializer)
    assert any(tensor.data_type == onnx.TensorProto.INT8 for tensor in graph.initializer)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("hw", [(64, 96), (96, 64)])
def test_engines_run_it_at_any_size_close_to_the_graph(
    quantized: Artifact, engine: str, hw: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(1).standard_normal((1, 3, *hw), np.float32)
    for precision, tolerance in (("float32", 0.0), ("int8", 0.5)):
        loaded = load_engine(quantized, engine, "cpu", precision)
        classes, masks = loaded.run(pixels)
        loaded.close()
        if precision == "float32":
            expected = classes, masks
            continue
        for e, a in zip(expected, (classes, masks), strict=True):
            assert e is not None and a is not None
            error = np.abs(a - e).mean() / np.abs(e).mean()
            assert 0 < error < tolerance


def test_a_withdrawn_graph_is_gone(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path, tiny.PER_PIXEL)
    (tmp_path / GRAPH_INT8).write_bytes(b"graph")
    assert withdraw_int8(artifact) == artifact
    assert not (tmp_path / GRAPH_INT8).exists()


def test_calibration_needs_pictures_and_a_graph(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "model", tiny.PER_PIXEL)
    with pytest.raises(InvalidParameterError, match="expected calibration pictures"):
        quantize_onnx(artifact, [])
    with pytest.raises(EngineError, match=r"expected an exported graph in .* got none"):
        quantize_onnx(artifact, draw(tmp_path))


@pytest.mark.slow
def test_a_broken_calibration_picture_is_refused(quantized: Artifact, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(ImageError, match="expected"):
        quantize_onnx(quantized, [broken])
