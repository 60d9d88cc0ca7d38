"""Model folders of transformers, written without it, by the inverse of the tables."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from model.checkpoints.huggingface_keys import HUGGING_FACE
from model.checkpoints.keys import to_theirs
from model.config import ArchitectureConfig, SwinConfig
from model.network.load import save_weights
from tests.model.checkpoints.samples import random_state


def huggingface_state(architecture: ArchitectureConfig) -> dict[str, Tensor]:
    return to_theirs(random_state(architecture), HUGGING_FACE)


def huggingface_config(architecture: ArchitectureConfig, **others: Any) -> dict[str, Any]:
    is_swin = isinstance(architecture.backbone, SwinConfig)
    decoder = architecture.transformer_decoder
    return {
        "model_type": "maskformer",
        "backbone_config": {"model_type": "swin" if is_swin else "resnet"},
        "decoder_config": {
            "model_type": "detr",
            "decoder_attention_heads": decoder.heads if decoder else 8,
        },
    } | others


def write_folder(
    folder: Path,
    architecture: ArchitectureConfig,
    preprocessor: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    folder.mkdir()
    save_weights(huggingface_state(architecture), folder / "model.safetensors")
    content = huggingface_config(architecture, **config)
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")
    return folder
