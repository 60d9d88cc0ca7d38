"""From a run's checkpoint to a folder that the service loads, with its scores."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from model.artifact import CARD, WEIGHTS, Artifact, FileInfo, Manifest, save_manifest
from model.data.dataset import ExampleSource
from model.data.sources import SceneData, open_part
from model.evaluation.evaluate import Scores, evaluate
from model.export.to_onnx import export_onnx
from model.inference.segmenter import Segmenter
from model.network.load import save_weights
from model.network.maskformer import build_network
from model.training.checkpoint import read_checkpoint
from model.training.config import TrainConfig
from model.training.model_card import card


def finalize(
    config: TrainConfig,
    run_dir: Path,
    folder: Path,
    *,
    log: Callable[[str], None] = print,
) -> Artifact:
    """Round the weights to float16, export the graph, score it, write the model card.

    The scores are of the rounded weights in the exported graph, on pictures that training never
    saw.

    Args:
        config: of the run.
        run_dir: holds its checkpoint, finished or not.
        folder: made if absent; an earlier artifact in it is replaced.
        log: takes lines for people.

    Raises:
        CheckpointError: there is no checkpoint.
        DatasetError: the pictures to score on are missing.
        EngineError: the network cannot be exported or run.
    """
    checkpoint = read_checkpoint(run_dir)
    unseen = open_part(config.data, "val", config.taxonomy, config.evaluation_scenes)
    weights = rounded(checkpoint["average"] or checkpoint["network"])
    build_network(config.architecture).load_state_dict(weights)  # refuses a foreign checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(weights, folder / WEIGHTS)
    manifest = _manifest(config, checkpoint["step"], {})
    artifact = export_onnx(save_manifest(folder, manifest))
    log(f"exported {folder}; scoring on {len(unseen)} unseen pictures")
    scores = _score(artifact, unseen)
    where = "scenes-unseen" if isinstance(config.data, SceneData) else "val"
    numbers = {f"{where}/{k}": round(v, 4) for k, v in scores.summary().items()}
    log(", ".join(f"{name} {value:.4f}" for name, value in scores.summary().items()))
    text = card(config, checkpoint["step"], weights, scores, run_dir)
    (folder / CARD).write_text(text)
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
        licence=config.licence,
        source=f"trained from random initialisation on "
        f"{config.data_credit or config.taxonomy.name}, preset {config.name}, {step} steps",
        scores=scores,
        files={WEIGHTS: FileInfo(role="weights", dtype="float16", sha256="0" * 64)},
    )


def _score(artifact: Artifact, unseen: ExampleSource) -> Scores:
    with Segmenter.load(artifact) as segmenter:
        return evaluate(segmenter, unseen)
