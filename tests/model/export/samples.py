"""Model folders with random weights, written for one test session."""

from pathlib import Path

import torch

from model.artifact import WEIGHTS, Artifact, FileInfo, Manifest, save_manifest
from model.config import (
    ArchitectureConfig,
    ClassInfo,
    PostprocessingConfig,
    PreprocessingConfig,
    Taxonomy,
)
from model.network.load import save_weights
from model.network.maskformer import build_network


def make_artifact(
    folder: Path, architecture: ArchitectureConfig, dtype: torch.dtype = torch.float32
) -> Artifact:
    """Write weights and manifest of a randomly initialised network; no graph."""
    torch.manual_seed(0)
    state = build_network(architecture).state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(
        {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()},
        folder / WEIGHTS,
    )
    classes = tuple(
        ClassInfo(name=f"class {i}", category_id=i, is_thing=False, color=(i, 0, 0))
        for i in range(architecture.num_classes)
    )
    manifest = Manifest(
        architecture=architecture,
        preprocessing=PreprocessingConfig(pad_to_px=1),
        postprocessing=PostprocessingConfig(mode="semantic"),
        taxonomy=Taxonomy(name="test", classes=classes),
        licence="Apache-2.0",
        files={
            WEIGHTS: FileInfo.model_validate(
                {
                    "role": "weights",
                    "dtype": str(dtype).removeprefix("torch."),
                    "sha256": "0" * 64,
                }
            )
        },
    )
    return save_manifest(folder, manifest)
