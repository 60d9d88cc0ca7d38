"""The folder of a run: what it was asked for, and with which programs it ran."""

import json
import subprocess
from pathlib import Path

import torch
from pydantic import ValidationError

from model.errors import CheckpointError, TrainingError
from model.evaluation.machine import describe_machine
from model.training.checkpoint import BEST, CHECKPOINT
from model.training.config import TrainConfig
from model.validation import all_expected_got

CONFIG, VERSIONS = "config.json", "versions.json"


def expect_no_run(run_dir: Path) -> None:
    """Refuse a folder whose run would be overwritten.

    Raises:
        TrainingError: it holds weights.
    """
    for name in (CHECKPOINT, BEST):
        if (run_dir / name).exists():
            raise TrainingError(f"expected a new run folder or `resume`, got {name} in {run_dir}")


def write_run_folder(config: TrainConfig, run_dir: Path) -> None:
    """Write `config.json` with all settings and seeds, and add this start to `versions.json`.

    Raises:
        TrainingError: it cannot be written.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        path = run_dir / VERSIONS
        starts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        path.write_text(json.dumps([*starts, versions()], indent=1) + "\n", encoding="utf-8")
        (run_dir / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"expected to write to the run folder, got: {error}") from error


def read_run_config(run_dir: Path) -> TrainConfig:
    """The settings of the run in that folder.

    Raises:
        CheckpointError: there are none, or they are not of this version.
    """
    path = run_dir / CONFIG
    if not path.is_file():
        raise CheckpointError(f"expected a run with a checkpoint in {run_dir}, got no {CONFIG}")
    try:
        return TrainConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"{path}: {all_expected_got(error, 'settings')}") from error


def versions() -> dict[str, str | None]:
    """What a run runs with; `commit` is None where the code lies in no git repository."""
    return {
        **describe_machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of this code, with a plus where files differ from it."""
    here = Path(__file__).parent
    try:
        names = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--match=", "--dirty=+"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return names.stdout.strip()
