"""What a run says of itself: lines for people, `metrics.jsonl`, curves for TensorBoard."""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.errors import TrainingError
from model.training.board import Board
from model.training.config import TrainConfig
from model.training.criterion import Losses
from model.training.validate import Validation

METRICS = "metrics.jsonl"


class Report:
    """Means since the last line.

    `metrics.jsonl` holds all that is known; TensorBoard shows the same. A resumed run repeats the
    rows since its checkpoint, so the last row of a step counts.

    Args:
        run_dir: of the run.
        config: of the run.
        processes: that train together.
        step: optimizer steps done.
        log: takes each line for people.

    Raises:
        TrainingError: TensorBoard is asked for and not installed.
    """

    def __init__(
        self,
        run_dir: Path,
        config: TrainConfig,
        processes: int,
        step: int,
        log: Callable[[str], None],
    ) -> None:
        self._path, self._config, self._log = run_dir / METRICS, config, log
        self._pictures_per_step = config.batch * config.accumulate * processes
        self._last_step, self._last_s = step, time.monotonic()
        self._sums: dict[str, Tensor] = {}
        self._batches = 0
        self._board = Board(run_dir, step) if config.tensorboard else None

    def add(self, losses: Losses) -> None:
        """Count one batch."""
        self._batches += 1
        values = {"total": losses.total.detach(), **losses.terms}
        if losses.query_matches is not None:
            values["query_matches"] = losses.query_matches
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value

    def step(self, step: int, learning_rate: float, gradient_norm: float) -> None:
        """Count one optimizer step, and write where a line is due.

        Raises:
            TrainingError: the disk refused.
        """
        if step % self._config.log_every_steps and step != self._config.steps:
            return
        seconds, steps = time.monotonic() - self._last_s, step - self._last_step
        total = float(self._sums.pop("total")) / self._batches
        matches = self._sums.pop("query_matches", None)
        row = {
            "step": step,
            "loss": total,
            "losses": {n: (v / self._batches).tolist() for n, v in self._sums.items()},
            "learning_rate": learning_rate,
            "gradient_norm": gradient_norm,
            "query_matches": None if matches is None else matches.tolist(),
            "seconds": seconds,
            "pictures_per_s": steps * self._pictures_per_step / seconds,
            "peak_memory_mb": peak_memory_mb(),
        }
        self._write(row)
        self._log(_line(row, self._config.steps, seconds / steps))
        if self._board is not None:
            self._board.training(row)
        self._last_step, self._last_s, self._sums, self._batches = step, time.monotonic(), {}, 0

    def validation(self, step: int, result: Validation, seconds: float, *, is_best: bool) -> None:
        """Write what a scoring found; its seconds are none of training's.

        Raises:
            TrainingError: the disk refused.
        """
        self._write({"step": step, "scores": result.scores, "best": is_best, "seconds": seconds})
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in result.scores.items())
        self._log(f"step {step}: {'best so far' if is_best else 'scored'}  {numbers}")
        if self._board is not None:
            self._board.validation(step, result)
        self._last_s += seconds

    def close(self) -> None:
        """Let TensorBoard see all that was written."""
        if self._board is not None:
            self._board.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise TrainingError(f"expected to write {self._path}, got: {error}") from error


def peak_memory_mb() -> float:
    """Most memory since the start: of the GPU's tensors, or of this process where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 1e6


def _line(row: Mapping[str, Any], steps: int, seconds_per_step: float) -> str:
    final = "  ".join(f"{name} {values[-1]:.4f}" for name, values in row["losses"].items())
    return (
        f"step {row['step']}/{steps}  loss {row['loss']:.3f}  {final}  "
        f"norm {row['gradient_norm']:.2f}  lr {row['learning_rate']:.2e}  "
        f"{row['pictures_per_s']:.1f} pictures/s  {row['peak_memory_mb']:.0f} MB  "
        f"ETA {(steps - row['step']) * seconds_per_step / 60:.0f} min"
    )
