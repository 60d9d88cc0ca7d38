"""The architecture is found again from names and shapes alone."""

import pytest
import torch

from model.checkpoints.architecture import Hints, read_architecture
from model.config import ArchitectureConfig, ResNetConfig, SwinConfig
from model.errors import CheckpointError
from model.network.maskformer import build_network
from tests.model.checkpoints.samples import ARCHITECTURES, random_state


def shapes_only(architecture):
    with torch.device("meta"):
        return build_network(architecture).state_dict()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_round_trip(name):
    assert read_architecture(random_state(ARCHITECTURES[name])) == ARCHITECTURES[name]


BASIC = {
    "block": "basic",
    "inner_channels": (64, 128, 256, 512),
    "out_channels": (64, 128, 256, 512),
}


@pytest.mark.parametrize(
    "backbone",
    [
        ResNetConfig(blocks=(2, 2, 2, 2), **BASIC),
        ResNetConfig(blocks=(3, 4, 6, 3), **BASIC),
        ResNetConfig(),
        ResNetConfig(blocks=(3, 4, 23, 3)),
        ResNetConfig(
            blocks=(3, 4, 23, 3), stem="deep", stem_channels=128, res5_dilations=(1, 2, 4)
        ),
        SwinConfig(),
        SwinConfig(embed_channels=128, blocks=(2, 2, 18, 2), heads=(4, 8, 16, 32), window=12),
        SwinConfig(embed_channels=192, blocks=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=12),
    ],
    ids=lambda b: f"{b.type}{b.blocks}",
)
def test_released_backbones(backbone):
    architecture = ArchitectureConfig(num_classes=150, backbone=backbone)
    assert read_architecture(shapes_only(architecture)) == architecture


def test_hints_fill_what_no_shape_tells():
    hints = Hints(decoder_heads=4, res5_dilations=(1, 2, 2), stride_in_1x1=True, dropout=0.0)
    found = read_architecture(random_state(ARCHITECTURES["bottleneck"]), hints)
    assert found.transformer_decoder.heads == 4
    assert found.transformer_decoder.dropout == 0.0
    assert found.backbone.res5_dilations == (1, 2, 2)
    assert found.backbone.stride_in_1x1
    hints = Hints(encoder_heads=4)
    assert read_architecture(random_state(ARCHITECTURES["encoder"]), hints).pixel_decoder == (
        ARCHITECTURES["encoder"].pixel_decoder.model_copy(update={"encoder_heads": 4})
    )


def test_the_encoder_has_the_decoders_heads_unless_told():
    found = read_architecture(random_state(ARCHITECTURES["encoder"]), Hints(decoder_heads=4))
    assert found.pixel_decoder.encoder_heads == 4


@pytest.mark.parametrize("ratio", [1.0, 2.7, 345 / 128, 52 / 49])
@pytest.mark.parametrize("channels", [8, 49])
def test_any_mlp_ratio(channels, ratio):
    """Each stage rounds its own width down, so the first one's does not tell the others'."""
    swin = SwinConfig(embed_channels=channels, heads=(1, 1, 1, 1), mlp_ratio=ratio)
    state = shapes_only(ARCHITECTURES["swin"].model_copy(update={"backbone": swin}))
    found = read_architecture(state)
    again = shapes_only(found)
    assert {k: t.shape for k, t in again.items()} == {k: t.shape for k, t in state.items()}


def test_contradictions_are_refused():
    state = random_state(ARCHITECTURES["swin"])
    with pytest.raises(CheckpointError, match="hidden divisible by heads, got 32/5"):
        read_architecture(state, Hints(decoder_heads=5))
    table = "backbone.layers.0.blocks.0.attn.relative_position_bias_table"
    with pytest.raises(CheckpointError, match="square of an odd number"):
        read_architecture(state | {table: torch.zeros(80, 1)})
    with pytest.raises(CheckpointError, match="axes"):
        read_architecture(state | {table: torch.zeros(81)})
    with pytest.raises(CheckpointError, match="divisor of 32"):
        read_architecture(random_state(ARCHITECTURES["encoder"]), Hints(encoder_heads=5))


def test_absent_parts_are_named():
    state = random_state(ARCHITECTURES["basic"])
    without = {k: t for k, t in state.items() if "stem" not in k}
    with pytest.raises(CheckpointError, match=r"Swin.*ResNet.*got neither"):
        read_architecture(without)
    without = {k: t for k, t in state.items() if "mask_features" not in k}
    with pytest.raises(CheckpointError, match=r"pixel_decoder\.mask_features\.weight"):
        read_architecture(without)
