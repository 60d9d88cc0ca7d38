"""Tiny random models in the forms of other implementations, made by the inverse of the tables."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.checkpoints.keys import to_theirs
from model.checkpoints.original import ORIGINAL
from model.config import (
    ArchitectureConfig,
    PixelDecoderConfig,
    ResNetConfig,
    SwinConfig,
    TransformerDecoderConfig,
)
from model.network.maskformer import build_network

PIXEL = PixelDecoderConfig(channels=32, mask_channels=16)
DECODER = TransformerDecoderConfig(queries=5, layers=2, hidden=32, heads=8, feed_forward=24)
BASIC = ResNetConfig(
    block="basic",
    blocks=(2, 1, 1, 2),
    stem_channels=4,
    inner_channels=(4, 4, 8, 8),
    out_channels=(4, 4, 8, 8),
)
BOTTLENECK = ResNetConfig(
    blocks=(1, 2, 1, 3),
    stem_channels=4,
    inner_channels=(2, 4, 4, 12),
    out_channels=(8, 16, 16, 48),
)
SWIN = SwinConfig(embed_channels=8, blocks=(2, 1, 2, 1), heads=(1, 2, 2, 4), window=5)
ENCODER = PIXEL.model_copy(update={"encoder_layers": 2, "encoder_feed_forward": 40})

ARCHITECTURES = {
    "basic": ArchitectureConfig(
        num_classes=3, backbone=BASIC, pixel_decoder=PIXEL, transformer_decoder=DECODER
    ),
    "bottleneck": ArchitectureConfig(
        num_classes=4, backbone=BOTTLENECK, pixel_decoder=PIXEL, transformer_decoder=DECODER
    ),
    "deep stem": ArchitectureConfig(
        num_classes=4,
        backbone=BOTTLENECK.model_copy(
            update={"stem": "deep", "stem_channels": 8, "res5_dilations": (1, 2, 4)}
        ),
        pixel_decoder=PIXEL,
        transformer_decoder=DECODER,
    ),
    "groups": ArchitectureConfig(
        num_classes=4,
        backbone=BOTTLENECK.model_copy(update={"inner_channels": (4, 4, 8, 12), "groups": 2}),
        pixel_decoder=PIXEL,
        transformer_decoder=DECODER,
    ),
    "swin": ArchitectureConfig(
        num_classes=6, backbone=SWIN, pixel_decoder=PIXEL, transformer_decoder=DECODER
    ),
    "encoder": ArchitectureConfig(
        num_classes=4,
        backbone=BOTTLENECK,
        pixel_decoder=ENCODER,
        transformer_decoder=DECODER.model_copy(update={"input_projection": False}),
    ),
    "per_pixel": ArchitectureConfig(
        kind="per_pixel",
        num_classes=4,
        backbone=BOTTLENECK,
        pixel_decoder=PIXEL,
        transformer_decoder=None,
    ),
    "per_pixel_plus": ArchitectureConfig(
        kind="per_pixel_plus",
        num_classes=5,
        backbone=BOTTLENECK,
        pixel_decoder=PIXEL,
        transformer_decoder=DECODER,
    ),
}


def random_state(architecture: ArchitectureConfig, seed: int = 0) -> dict[str, Tensor]:
    """Every tensor random, norms and statistics too; variances positive."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, tensor in build_network(architecture).state_dict().items():
        numbers = torch.randn(tensor.shape, generator=generator) * 0.1
        state[key] = numbers.abs() + 0.5 if key.endswith("running_var") else numbers
    return state


def original_state(
    architecture: ArchitectureConfig, *, is_new_generation: bool = False, seed: int = 0
) -> dict[str, Tensor]:
    """The same weights under the original's names, with what its files carry besides."""
    state = to_theirs(random_state(architecture, seed), ORIGINAL)
    if is_new_generation:
        head = "sem_seg_head."
        state = {
            key.replace(head, f"{head}pixel_decoder.")
            if key.startswith(head) and not key.startswith(f"{head}predictor")
            else key: tensor
            for key, tensor in state.items()
        }
    if architecture.kind == "maskformer":
        state["criterion.empty_weight"] = torch.ones(architecture.num_classes + 1)
    return state


def write_pickle(path: Path, state: Mapping[str, Tensor], protocol: int = 4, **others: Any) -> Path:
    """Write the original's release form."""
    arrays = {key: np.asarray(tensor) for key, tensor in state.items()}
    content = {"model": arrays, "__author__": "someone"} | others
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path
