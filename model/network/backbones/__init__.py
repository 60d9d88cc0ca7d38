"""The backbones, and how a configuration becomes one."""

from typing import assert_never

from model.config import BackboneConfig, ResNetConfig, SwinConfig, TimmConfig
from model.network.backbones.resnet import ResNet, build_resnet
from model.network.backbones.swin import SwinTransformer
from model.network.backbones.timm import TimmBackbone, build_timm

Backbone = ResNet | SwinTransformer | TimmBackbone


def build_backbone(config: BackboneConfig) -> Backbone:
    """Build the backbone that `config` describes, randomly initialised.

    All map pixels (B, 3, H, W) to four maps at strides 4, 8, 16, 32 (`features.Features`), whose
    numbers of channels are `.channels`.

    Raises:
        InvalidParameterError: a timm model without such maps, or heads that do not divide.
        EngineUnavailableError: a timm model where timm is not installed.
    """
    match config:
        case ResNetConfig():
            return build_resnet(config)
        case SwinConfig():
            return SwinTransformer(
                config.embed_channels,
                config.blocks,
                config.heads,
                config.window,
                config.mlp_ratio,
                config.drop_path,
            )
        case TimmConfig():
            return build_timm(config.name)
        case _:
            assert_never(config)
