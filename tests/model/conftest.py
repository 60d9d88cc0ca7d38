"""Exported models, written once per session: the exporter takes seconds for the smallest."""

import pytest
import torch

from model.artifact import Artifact
from model.export.to_onnx import export_onnx
from tests.model.export.samples import make_artifact
from tests.model.network import tiny

ONE_LAYER = tiny.QUERIES.model_copy(update={"layers": 1})
# A shifted window in the first stage only: the tracer's algebra grows with the stage.
SWIN = tiny.SWIN.model_copy(update={"blocks": (2, 1, 1, 1)})
MODELS = {
    "encoder": (
        tiny.WITHOUT_PROJECTION.model_copy(
            update={"transformer_decoder": ONE_LAYER.model_copy(update={"input_projection": False})}
        ),
        torch.bfloat16,
    ),
    "per_pixel": (tiny.PER_PIXEL, torch.float16),
    "swin": (
        tiny.maskformer(SWIN).model_copy(update={"transformer_decoder": ONE_LAYER}),
        torch.float32,
    ),
    "swin_window_12": (
        tiny.maskformer(SWIN.model_copy(update={"window": 12})).model_copy(
            update={"transformer_decoder": ONE_LAYER}
        ),
        torch.float32,
    ),
}


def _export(name: str, factory: pytest.TempPathFactory) -> Artifact:
    architecture, dtype = MODELS[name]
    return export_onnx(make_artifact(factory.mktemp("exported") / name, architecture, dtype))


@pytest.fixture(scope="session")
def encoder_model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An exported MaskFormer with a ResNet, encoder layers and bfloat16 weights."""
    return _export("encoder", tmp_path_factory)


@pytest.fixture(
    scope="session",
    params=[
        "encoder",
        "per_pixel",
        "swin",
        pytest.param("swin_window_12", marks=pytest.mark.slow),
    ],
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """One exported model of each kind."""
    if request.param == "encoder":
        shared: Artifact = request.getfixturevalue("encoder_model")
        return shared
    return _export(request.param, tmp_path_factory)
