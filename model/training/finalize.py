"""From a run's checkpoint to a folder that the service loads, with its scores."""

from collections.abc import Callable
from pathlib import Path

from model.artifact import CARD, Artifact, save_manifest
from model.data.sources import SceneData, open_part
from model.evaluation.evaluate import evaluate
from model.export.to_onnx import export_onnx
from model.inference.segmenter import Segmenter
from model.network.load import check_state
from model.network.maskformer import build_network
from model.training.card_pictures import (
    CURVES,
    FAILURES,
    curves_picture,
    failures_picture,
    read_rows,
)
from model.training.checkpoint import BEST, CHECKPOINT, read_checkpoint
from model.training.config import TrainConfig
from model.training.model_card import card
from model.training.publish import publish, rounded

_FAILURES = 4


def finalize(
    config: TrainConfig,
    run_dir: Path,
    folder: Path,
    *,
    last: bool = False,
    log: Callable[[str], None] = print,
) -> Artifact:
    """Round the weights to float16, export the graph, score it, write the model card.

    The scores are of the rounded weights in the exported graph, on pictures that training never
    saw.

    Args:
        config: of the run.
        run_dir: holds its checkpoint, finished or not.
        folder: made if absent; an earlier artifact in it is replaced.
        last: whether to take the last weights where the run kept its best.
        log: takes lines for people.

    Raises:
        CheckpointError: there is no checkpoint, or it is of another network.
        DatasetError: the pictures to score on are missing.
        EngineError: the network cannot be exported or run.
    """
    name = BEST if (run_dir / BEST).is_file() and not last else CHECKPOINT
    checkpoint = read_checkpoint(run_dir, name)
    unseen = open_part(config.data, "val", config.taxonomy, config.evaluation_scenes)
    weights = rounded(checkpoint["average"] or checkpoint["network"])
    check_state(build_network(config.architecture), weights)
    log(f"taking {name} of step {checkpoint['step']}")
    artifact = export_onnx(publish(config, weights, checkpoint["step"], folder))
    log(f"exported {folder}; scoring on {len(unseen)} unseen pictures")
    with Segmenter.load(artifact) as segmenter:
        scores = evaluate(segmenter, unseen)
        worst = sorted(scores.pictures, key=lambda picture: picture.score)[:_FAILURES]
        failures_picture(worst, unseen, segmenter).save(folder / FAILURES, optimize=True)
    rows = read_rows(run_dir, checkpoint["step"])
    if rows:
        curves_picture(rows).save(folder / CURVES, optimize=True)
    where = "scenes-unseen" if isinstance(config.data, SceneData) else "val"
    numbers = {f"{where}/{k}": round(v, 4) for k, v in scores.summary().items()}
    log(", ".join(f"{name} {value:.4f}" for name, value in scores.summary().items()))
    text = card(config, checkpoint["step"], weights, scores, rows, chosen_by_score=name == BEST)
    (folder / CARD).write_text(text, encoding="utf-8")
    return save_manifest(folder, artifact.manifest.model_copy(update={"scores": numbers}))
