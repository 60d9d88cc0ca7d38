"""Train and score the arms of a study, one after the other."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model.data.dataset import ExampleSource
from model.data.scene_dataset import SceneDataset
from model.data.semantic import SemanticTargets
from model.data.sources import UNSEEN_SEED, SceneData, open_part
from model.errors import TrainingError
from model.training.ablations.studies import Arm, Study
from model.training.checkpoint import CHECKPOINT
from model.training.config import TrainConfig
from model.training.run_folder import CONFIG as RUN_CONFIG
from model.training.run_folder import read_run_config
from model.training.train import train
from model.training.validate import validate

_SCORES = "scores.json"


@dataclass(frozen=True)
class Result:
    """What one run of an arm came to.

    Attributes:
        arm: its name.
        seed: of the run.
        steps: optimizer steps of the run.
        parameters: of the network.
        scores: by name, in [0, 1]; of `Scores.summary`.
    """

    arm: str
    seed: int
    steps: int
    parameters: int
    scores: dict[str, float]


def run_study(
    study: Study,
    output: Path,
    *,
    seeds: int = 1,
    steps: int | None = None,
    log: Callable[[str], None] = print,
) -> Iterator[Result]:
    """Train every arm with every seed, first all arms with seed 0, and score each.

    An arm that `output` holds the scores of is not trained again, and one that was interrupted goes
    on from its checkpoint; studies with the same `output` share equal arms.

    Args:
        study: what to compare.
        output: folder; one run folder per arm and seed is made in it.
        seeds: runs per arm.
        steps: optimizer steps of each run; None takes the study's.
        log: takes lines for people.

    Yields:
        One result after the other, as soon as it is there.

    Raises:
        TrainingError: `output` holds an arm with other settings, or a run failed.
    """
    for seed in range(seeds):
        for arm in study.arms:
            changes = {"seed": seed} | ({} if steps is None else {"steps": steps})
            config = TrainConfig.model_validate(arm.config.model_dump() | changes)
            folder = output / f"{re.sub(r'[^a-zA-Z0-9+]+', '-', arm.name)}-seed{seed}"
            log(f"{arm.name}, seed {seed}")
            yield _run_arm(arm, config, folder, log)


def _run_arm(arm: Arm, config: TrainConfig, folder: Path, log: Callable[[str], None]) -> Result:
    path = folder / _SCORES
    if (folder / RUN_CONFIG).is_file() and read_run_config(folder) != config:
        raise TrainingError(
            f"expected a run with the settings of {arm.name!r} in {folder}, got another one: "
            "choose another folder"
        )
    if path.is_file():
        return Result(**json.loads(path.read_text(encoding="utf-8")))
    source, unseen = _pictures(config, arm.semantic)
    state = train(config, source, folder, resume=(folder / CHECKPOINT).is_file(), log=log)
    scores = validate(config, state.average, state.step, unseen).scores
    parameters = sum(parameter.numel() for parameter in state.network.parameters())
    result = Result(arm.name, config.seed, config.steps, parameters, scores)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(vars(result), indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    return result


def _pictures(config: TrainConfig, semantic: bool) -> tuple[ExampleSource, ExampleSource]:
    """Scenes to train on, and scenes that no run trains on; both are drawn once for all arms."""
    data = config.data
    assert isinstance(data, SceneData)
    source = open_part(data, "train", config.taxonomy)
    unseen: ExampleSource = SceneDataset(
        UNSEEN_SEED, config.evaluate_pictures, data.hw, Path(data.cache_dir)
    )
    return (SemanticTargets(source), SemanticTargets(unseen)) if semantic else (source, unseen)
