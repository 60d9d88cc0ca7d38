import sys
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from model.config import TimmConfig
from model.errors import EngineUnavailableError, InvalidParameterError
from model.network.backbones import build_backbone

CHANNELS = (3, 4, 6, 8, 10)


class Extractor(nn.Module):
    """Five maps from stride 2 on, as timm's feature extractors give them."""

    def __init__(self, output_fmt: str, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.output_fmt = output_fmt
        self.strides = strides
        self.feature_info = SimpleNamespace(
            reduction=lambda: list(strides), channels=lambda: list(CHANNELS)
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        maps = [
            torch.zeros(pixels.shape[0], channels, *(side // stride for side in pixels.shape[2:]))
            for channels, stride in zip(CHANNELS, self.strides, strict=True)
        ]
        return [m.permute(0, 2, 3, 1) for m in maps] if self.output_fmt == "NHWC" else maps


def _install(
    monkeypatch: pytest.MonkeyPatch,
    output_fmt: str = "NCHW",
    strides: tuple[int, ...] = (2, 4, 8, 16, 32),
) -> None:
    def create_model(name: str, pretrained: bool, features_only: bool) -> Extractor:
        assert not pretrained
        assert features_only
        return Extractor(output_fmt, strides)

    fake = SimpleNamespace(is_model=lambda name: name == "known", create_model=create_model)
    monkeypatch.setitem(sys.modules, "timm", fake)


@pytest.mark.parametrize("output_fmt", ["NCHW", "NHWC"])
def test_gives_the_last_four_maps_channels_first(
    monkeypatch: pytest.MonkeyPatch, output_fmt: str
) -> None:
    _install(monkeypatch, output_fmt)
    backbone = build_backbone(TimmConfig(name="known"))
    features = backbone(torch.zeros(2, 3, 64, 96))
    assert backbone.channels == (4, 6, 8, 10)
    assert [f.shape for f in features] == [
        (2, 4, 16, 24),
        (2, 6, 8, 12),
        (2, 8, 4, 6),
        (2, 10, 2, 3),
    ]


def test_without_timm_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(EngineUnavailableError, match=r"pip install 'maskformer-serving\[timm\]'"):
        build_backbone(TimmConfig(name="known"))


def test_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch)
    with pytest.raises(InvalidParameterError, match="expected the name of a timm model, got 'no'"):
        build_backbone(TimmConfig(name="no"))


def test_other_strides_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, strides=(1, 2, 4, 8, 16))
    with pytest.raises(InvalidParameterError, match=r"strides \[4, 8, 16, 32\], got \[2, 4, 8"):
        build_backbone(TimmConfig(name="known"))
