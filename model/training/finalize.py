"""From a run's checkpoint to a folder that the service loads, with its scores."""

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.artifact import CARD, WEIGHTS, Artifact, FileInfo, Manifest, save_manifest
from model.data.scene_dataset import SceneDataset, generator_hash
from model.evaluation.evaluate import Scores, evaluate
from model.export.to_onnx import export_onnx
from model.inference.segmenter import Segmenter
from model.network.load import save_weights
from model.network.maskformer import build_network
from model.training.checkpoint import read_checkpoint
from model.training.config import TrainConfig

# Seeds of scenes for scoring; training takes seeds below 100,000.
UNSEEN_SEED = 1_000_000
LICENCE = "Apache-2.0"


def finalize(
    config: TrainConfig,
    run_dir: Path,
    folder: Path,
    *,
    log: Callable[[str], None] = print,
) -> Artifact:
    """Round the weights to float16, export the graph, score it, write the model card.

    The scores are of the rounded weights in the exported graph, on scenes that training never saw.

    Args:
        config: of the run.
        run_dir: holds its checkpoint, finished or not.
        folder: made if absent; an earlier artifact in it is replaced.
        log: takes lines for people.

    Raises:
        CheckpointError: there is no checkpoint.
        EngineError: the network cannot be exported or run.
    """
    checkpoint = read_checkpoint(run_dir)
    weights = rounded(checkpoint["average"] or checkpoint["network"])
    build_network(config.architecture).load_state_dict(weights)  # refuses a foreign checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(weights, folder / WEIGHTS)
    manifest = _manifest(config, checkpoint["step"], {})
    artifact = export_onnx(save_manifest(folder, manifest))
    log(f"exported {folder}; scoring on {config.evaluation_scenes} unseen scenes")
    scores = _score(artifact, config)
    numbers = {f"scenes-unseen/{k}": round(v, 4) for k, v in scores.summary().items()}
    log(", ".join(f"{name} {value:.4f}" for name, value in scores.summary().items()))
    (folder / CARD).write_text(_card(config, checkpoint, weights, scores, run_dir))
    return save_manifest(folder, artifact.manifest.model_copy(update={"scores": numbers}))


def rounded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as float16 in plain memory order; counters keep their dtype."""
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in state.items()
    }


def _manifest(config: TrainConfig, step: int, scores: dict[str, float]) -> Manifest:
    return Manifest(
        architecture=config.architecture,
        preprocessing=config.preprocessing,
        postprocessing=config.postprocessing,
        taxonomy=config.taxonomy,
        licence=LICENCE,
        source=f"trained from random initialisation on drawn scenes, preset {config.name}, "
        f"{step} steps",
        scores=scores,
        files={WEIGHTS: FileInfo(role="weights", dtype="float16", sha256="0" * 64)},
    )


def _score(artifact: Artifact, config: TrainConfig) -> Scores:
    unseen = SceneDataset(UNSEEN_SEED, config.evaluation_scenes, config.data.hw)
    with Segmenter.load(artifact) as segmenter:
        return evaluate(segmenter, (unseen[index] for index in range(len(unseen))))


def _card(
    config: TrainConfig,
    checkpoint: dict[str, Any],
    weights: dict[str, Tensor],
    scores: Scores,
    run_dir: Path,
) -> str:
    """The model card, in Markdown."""
    numbers = "\n".join(f"| {name} | {value:.3f} |" for name, value in scores.summary().items())
    columns = ("IoU", "PQ", "SQ", "RQ")
    rows = "\n".join(
        f"| {row['class']} | " + " | ".join(_cell(row[name]) for name in columns) + " |"
        for row in scores.rows()
    )
    parameters = sum(value.numel() for value in weights.values()) / 1e6
    height, width = config.data.hw
    pictures, hours = _effort(run_dir)
    data, last = config.data, UNSEEN_SEED + config.evaluation_scenes - 1
    return f"""# {config.name}

A small MaskFormer ({parameters:.1f} million parameters) for drawn street, park and waterside
scenes. It shows the service at work; it was never shown a photograph.

| | |
|---|---|
| command | `maskformer train {config.name}` |
| steps | {checkpoint["step"]} with {pictures:,.0f} pictures |
| time | {hours:.1f} hours on {_hardware()} |
| training data | generated scenes, seeds {data.first_seed} to {data.first_seed + data.count - 1}, \
{height} x {width} px, generator {generator_hash()} |
| scored on | seeds {UNSEEN_SEED} to {last}, never trained on, after rounding to float16 |
| licence | weights {LICENCE}; the pictures and their labels are this project's own drawings |

| score | |
|---|---|
{numbers}

| class | IoU | PQ | SQ | RQ |
|---|---|---|---|---|
{rows}
"""


def _cell(value: str | float | None) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"


def _effort(run_dir: Path) -> tuple[float, float]:
    """Pictures and hours of the run's steps, without what a resumed run had to repeat."""
    path = run_dir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    rows = {row["step"]: row for row in map(json.loads, lines)}.values()
    pictures = sum(row["pictures_per_s"] * row["seconds"] for row in rows)
    return pictures, sum(row["seconds"] for row in rows) / 3600


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"
