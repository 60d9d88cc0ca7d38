"""The state of a run on disk: written whole or not at all, resumed exactly."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.errors import CheckpointError, TrainingError

CHECKPOINT = "checkpoint.pt"


@dataclass
class TrainState:
    """What changes from step to step.

    No generator states: a step's pictures (`TrainingStream`) and its random numbers are functions
    of the run's seed and the step.

    Attributes:
        network: in training.
        optimizer: over its parameters.
        average: running average of the network's state by name; empty where none is kept.
        step: optimizer steps done.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    step: int = 0


def save_checkpoint(run_dir: Path, state: TrainState) -> None:
    """Replace the run's checkpoint; until the new one is complete on disk, the old one stays.

    Raises:
        TrainingError: the disk refused; the previous checkpoint is untouched.
    """
    content = {
        "network": state.network.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "average": state.average,
        "step": state.step,
    }
    partial = run_dir / f"{CHECKPOINT}.partial"
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(run_dir / CHECKPOINT)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(f"expected to write {run_dir / CHECKPOINT}, got: {error}") from error


def load_checkpoint(run_dir: Path, state: TrainState) -> None:
    """Bring `state` to where the checkpoint was written.

    Raises:
        CheckpointError: there is none, it is broken, or it is of another network.
    """
    content = read_checkpoint(run_dir)
    try:
        state.network.load_state_dict(content["network"])
        state.optimizer.load_state_dict(content["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"expected a checkpoint of this network in {run_dir}, got: {error}"
        ) from error
    for name, value in content["average"].items():
        if name in state.average:
            state.average[name].copy_(value)
    state.step = content["step"]


def read_checkpoint(run_dir: Path) -> dict[str, Any]:
    """The checkpoint's content by the names of `save_checkpoint`, on the CPU.

    Raises:
        CheckpointError: there is none or it is broken.
    """
    path = run_dir / CHECKPOINT
    if not path.is_file():
        raise CheckpointError(f"expected a checkpoint at {path}, got no such file")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"expected a readable checkpoint at {path}, got: {error}") from error
    return content
