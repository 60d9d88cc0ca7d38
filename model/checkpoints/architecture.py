"""Read the architecture off the names and shapes of the weights."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError
from torch import Tensor

from model.checkpoints.tidy import window_of
from model.config import (
    ArchitectureConfig,
    BackboneConfig,
    FourInts,
    PixelDecoderConfig,
    ResNetConfig,
    SwinConfig,
    TransformerDecoderConfig,
)
from model.errors import CheckpointError

Kind = Literal["maskformer", "per_pixel", "per_pixel_plus"]

PAPER_MULTI_GRID = (1, 2, 4)  # res5 of the paper's R101c, the only model with the deep stem


@dataclass(frozen=True)
class Hints:
    """What no shape tells; the defaults are the paper's.

    Attributes:
        decoder_heads: attention heads of the transformer decoder.
        encoder_heads: of the pixel decoder's encoder layers; None = as many as the decoder has.
        res5_dilations: one per block of the last ResNet stage; None = 1, 2, 4 behind a deep stem
            where it has three blocks, else all 1.
        stride_in_1x1: whether ResNet bottlenecks stride in their first convolution.
        drop_path: of Swin, in training.
        dropout: of the transformer layers, in training.
    """

    decoder_heads: int = 8
    encoder_heads: int | None = None
    res5_dilations: tuple[int, ...] | None = None
    stride_in_1x1: bool = False
    drop_path: float = 0.3
    dropout: float = 0.1


def read_architecture(
    state: Mapping[str, Tensor], hints: Hints | None = None, spell: Callable[[str], str] = str
) -> ArchitectureConfig:
    """Find the architecture that these weights belong to.

    Args:
        state: tensors by our names.
        hints: what no shape tells; None = the paper's values.
        spell: our name of a tensor -> the one that a message tells.

    Raises:
        CheckpointError: a tensor that decides is missing, or the numbers contradict each other.
    """
    hints = hints or Hints()
    shapes = _Shapes({key: tuple(tensor.shape) for key, tensor in state.items()}, spell)
    try:
        return ArchitectureConfig(
            kind=_kind(shapes),
            num_classes=_num_classes(shapes),
            backbone=_backbone(shapes, state, hints),
            pixel_decoder=_pixel_decoder(shapes, hints),
            transformer_decoder=_transformer_decoder(shapes, hints),
        )
    except ValidationError as error:
        reasons = "; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())
        raise CheckpointError(f"the weights give no sound architecture: {reasons}") from error


class _Shapes(dict[str, tuple[int, ...]]):
    """Shapes by name; a missing or flat one is a CheckpointError."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], spell: Callable[[str], str]) -> None:
        super().__init__(shapes)
        self.spell = spell

    def size(self, key: str, axis: int = 0) -> int:
        if key not in self:
            raise CheckpointError(f"expected the key {self.spell(key)}, got no such key")
        if len(self[key]) <= axis:
            raise CheckpointError(
                f"{self.spell(key)}: expected at least {axis + 1} axes, got shape {self[key]}"
            )
        return self[key][axis]

    def count(self, prefix: str) -> int:
        """How many numbers follow the prefix: its layers, stages or blocks."""
        numbers = {m[1] for k in self if (m := re.match(re.escape(prefix) + r"(\d+)\.", k))}
        return len(numbers)

    def four(self, template: str, axis: int = 0) -> FourInts:
        """Sizes of four stages' tensors; {} is the stage, res2 to res5."""
        a, b, c, d = (self.size(template.format(stage), axis) for stage in (2, 3, 4, 5))
        return a, b, c, d


def _kind(shapes: _Shapes) -> Kind:
    if "classifier.weight" in shapes:
        return "per_pixel"
    if "transformer_decoder.class_head.weight" in shapes:
        return "maskformer"
    return "per_pixel_plus"


def _num_classes(shapes: _Shapes) -> int:
    kind = _kind(shapes)
    if kind == "per_pixel":
        return shapes.size("classifier.weight")
    if kind == "maskformer":
        return shapes.size("transformer_decoder.class_head.weight") - 1  # without no-object
    return shapes.size("transformer_decoder.query_embed.weight")


def _backbone(shapes: _Shapes, state: Mapping[str, Tensor], hints: Hints) -> BackboneConfig:
    if "backbone.patch_embed.proj.weight" in shapes:
        return _swin(shapes, state, hints)
    if "backbone.stem.conv1.weight" in shapes:
        return _resnet(shapes, hints)
    raise CheckpointError(
        "expected a backbone with backbone.patch_embed.proj (Swin) or backbone.stem.conv1 "
        "(ResNet), got neither"
    )


def _swin(shapes: _Shapes, state: Mapping[str, Tensor], hints: Hints) -> SwinConfig:
    block = "backbone.layers.{}.blocks.0"
    tables = [f"{block.format(i)}.attn.relative_position_bias_table" for i in range(4)]
    heads = tuple(shapes.size(table, 1) for table in tables)
    return SwinConfig(
        embed_channels=shapes.size("backbone.patch_embed.proj.weight"),
        blocks=tuple(shapes.count(f"backbone.layers.{i}.blocks.") for i in range(4)),  # type: ignore[arg-type]
        heads=heads,  # type: ignore[arg-type]
        window=window_of(state[tables[0]]),
        mlp_ratio=_mlp_ratio(shapes, f"{block.format(3)}.mlp.fc1.weight"),
        drop_path=hints.drop_path,
    )


def _mlp_ratio(shapes: _Shapes, widest: str) -> float:
    """The ratio that gives every stage's width, rounded down, if the widest stage's is right."""
    inner, channels = shapes.size(widest), max(1, shapes.size(widest, 1))
    ratio = inner / channels
    return ratio if int(channels * ratio) == inner else math.nextafter(ratio, math.inf)


def _resnet(shapes: _Shapes, hints: Hints) -> ResNetConfig:
    bottleneck = "backbone.res2.0.conv3.weight" in shapes
    deep = "backbone.stem.conv3.weight" in shapes
    last = 3 if bottleneck else 2
    blocks = (
        shapes.count("backbone.res2."),
        shapes.count("backbone.res3."),
        shapes.count("backbone.res4."),
        shapes.count("backbone.res5."),
    )
    inner = shapes.four("backbone.res{}.0.conv1.weight")
    dilations = hints.res5_dilations
    if dilations is None:
        dilations = PAPER_MULTI_GRID if deep and blocks[3] == len(PAPER_MULTI_GRID) else ()
    return ResNetConfig(
        block="bottleneck" if bottleneck else "basic",
        blocks=blocks,
        stem="deep" if deep else "basic",
        stem_channels=shapes.size(f"backbone.stem.conv{3 if deep else 1}.weight"),
        inner_channels=inner,
        out_channels=shapes.four(f"backbone.res{{}}.0.conv{last}.weight"),
        groups=inner[0] // max(1, shapes.size("backbone.res2.0.conv2.weight", 1)),
        res5_dilations=dilations,
        stride_in_1x1=hints.stride_in_1x1,
    )


def _pixel_decoder(shapes: _Shapes, hints: Hints) -> PixelDecoderConfig:
    channels = shapes.size("pixel_decoder.lateral_res2.weight")
    mask_channels = shapes.size("pixel_decoder.mask_features.weight")
    layers = shapes.count("pixel_decoder.encoder.layers.")
    if not layers:
        return PixelDecoderConfig(channels=channels, mask_channels=mask_channels)
    heads = hints.encoder_heads or hints.decoder_heads
    if channels % heads:
        raise CheckpointError(
            f"expected the encoder's heads as a divisor of {channels}, got {heads}"
        )
    return PixelDecoderConfig(
        channels=channels,
        mask_channels=mask_channels,
        encoder_layers=layers,
        encoder_heads=heads,
        encoder_feed_forward=shapes.size("pixel_decoder.encoder.layers.0.linear1.weight"),
        dropout=hints.dropout,
    )


def _transformer_decoder(shapes: _Shapes, hints: Hints) -> TransformerDecoderConfig | None:
    if _kind(shapes) == "per_pixel":
        return None
    queries = "transformer_decoder.query_embed.weight"
    return TransformerDecoderConfig(
        queries=shapes.size(queries),
        layers=shapes.count("transformer_decoder.layers."),
        hidden=shapes.size(queries, 1),
        heads=hints.decoder_heads,
        feed_forward=shapes.size("transformer_decoder.layers.0.linear1.weight"),
        dropout=hints.dropout,
        input_projection="transformer_decoder.input_proj.weight" in shapes,
    )
