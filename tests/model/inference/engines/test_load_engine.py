import sys

import pytest

from model.artifact import Artifact
from model.errors import EngineError, EngineUnavailableError
from model.inference.engines import ENGINES, load_engine

MODULE = "model.inference.engines"


@pytest.fixture
def without_graph(encoder_model: Artifact) -> Artifact:
    files = {n: f for n, f in encoder_model.manifest.files.items() if f.role == "weights"}
    manifest = encoder_model.manifest.model_copy(update={"files": files})
    return Artifact(encoder_model.folder, manifest, encoder_model.hash)


def uninstall(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, f"{MODULE}.{name}", raising=False)


@pytest.mark.parametrize(
    ("missing", "chosen"),
    [([], "openvino"), (["openvino"], "onnxruntime"), (["openvino", "onnxruntime"], "torch")],
)
def test_auto_takes_the_first_engine_that_is_here(
    monkeypatch: pytest.MonkeyPatch, encoder_model: Artifact, missing: list[str], chosen: str
) -> None:
    uninstall(monkeypatch, *missing)
    engine = load_engine(encoder_model, device="cpu")
    assert engine.name == chosen
    engine.close()


def test_auto_without_a_graph_is_torch(without_graph: Artifact) -> None:
    assert load_engine(without_graph).name == "torch"


def test_nothing_installed_names_every_command(
    monkeypatch: pytest.MonkeyPatch, encoder_model: Artifact, without_graph: Artifact
) -> None:
    uninstall(monkeypatch, *ENGINES)
    for extra in ("cpu", "train"):
        with pytest.raises(EngineUnavailableError, match=rf"maskformer-serving\[{extra}\]"):
            load_engine(encoder_model)
    with pytest.raises(EngineUnavailableError, match="maskformer export"):
        load_engine(without_graph)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_missing_graph_names_the_command(without_graph: Artifact, name: str) -> None:
    with pytest.raises(EngineError, match="write it with `maskformer export"):
        load_engine(without_graph, name)


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_not_there_is_refused_by_name(encoder_model: Artifact, name: str) -> None:
    with pytest.raises(EngineError, match=r"\(.*float32.*\), got float8"):
        load_engine(encoder_model, name, "cpu", "float8")
    with pytest.raises(EngineUnavailableError, match=r"\(cpu.*\), got abacus"):
        load_engine(encoder_model, name, "abacus")


def test_int8_needs_a_quantised_graph(encoder_model: Artifact) -> None:
    with pytest.raises(EngineError, match="role onnx_int8"):
        load_engine(encoder_model, "onnxruntime", "cpu", "int8")


def test_an_unknown_engine_is_refused(encoder_model: Artifact) -> None:
    with pytest.raises(EngineError, match="openvino, onnxruntime, torch, got tensorflow"):
        load_engine(encoder_model, "tensorflow")
