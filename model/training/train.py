"""The training loop."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from model.data.collate import Batch, collate
from model.data.dataset import ExampleSource, TrainingStream
from model.data.sources import open_part
from model.errors import TrainingError
from model.network.maskformer import build_network
from model.training.checkpoint import (
    CHECKPOINT,
    TrainState,
    load_checkpoint,
    save_checkpoint,
)
from model.training.config import TrainConfig
from model.training.criterion import Losses, compute_losses
from model.training.distributed import average_gradients, join_processes
from model.training.optimizer import build_optimizer, set_learning_rate

# On a CPU the fused attention's backward took 38 ms where the plain one takes 2 (40 queries, 48
# keys, batch 16, bfloat16).
_ATTENTION = {
    "cpu": [SDPBackend.MATH],
    "cuda": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
}


def train(
    config: TrainConfig,
    source: ExampleSource,
    run_dir: Path,
    *,
    resume: bool = False,
    log: Callable[[str], None] = print,
) -> TrainState:
    """Train from random initialisation, or go on exactly where the last checkpoint ended.

    Writes `config.json`, `metrics.jsonl` (one line per log line) and `checkpoint.pt` to `run_dir`.
    Under torchrun every process takes its part of each step; the first one writes.

    Args:
        config: the run.
        source: annotated pictures.
        run_dir: made if absent.
        resume: continue the run in `run_dir`; without it a folder with a checkpoint is refused.
        log: takes each line for people.

    Raises:
        TrainingError: a loss is not finite, or the checkpoint cannot be written.
        CheckpointError: `resume` without a checkpoint that fits.
    """
    rank, processes = join_processes()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    state = _start(config, run_dir, device, resume)
    batches = iter(_loader(config, source, state.step, rank, processes))
    report = _Report(run_dir / "metrics.jsonl", config, processes, log, state.step)
    saved_s = time.monotonic()
    while state.step < config.steps:
        torch.manual_seed(_seed(config.seed, state.step, rank))
        rate = set_learning_rate(state.optimizer, config.optimizer, state.step, config.steps)
        for _ in range(config.accumulate):
            batch = next(batches).to(device)
            losses = _forward(state.network, batch, config)
            _check_finite(losses, batch, state.step)
            torch.autograd.backward(losses.total / config.accumulate)
            report.add(losses)
        if processes > 1:
            average_gradients(state.network.parameters())
        norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.optimizer.clip_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.step += 1
        _update_average(state, config.ema_decay)
        if rank > 0:
            continue
        report.step(state.step, rate, float(norm))
        if time.monotonic() - saved_s >= config.checkpoint_every_s or state.step == config.steps:
            save_checkpoint(run_dir, state)
            saved_s = time.monotonic()
    return state


def open_source(config: TrainConfig) -> ExampleSource:
    """The training pictures that `config` names; raises `DatasetError` where they are not."""
    return open_part(config.data, "train", config.taxonomy)


def _start(config: TrainConfig, run_dir: Path, device: torch.device, resume: bool) -> TrainState:
    run_dir.mkdir(parents=True, exist_ok=True)
    if not resume and (run_dir / CHECKPOINT).exists():
        raise TrainingError(f"expected a new run folder or `resume`, got a checkpoint in {run_dir}")
    (run_dir / "config.json").write_text(config.model_dump_json(indent=1) + "\n")
    torch.manual_seed(config.seed)
    network: nn.Module = build_network(config.architecture).train().to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = {}
    if config.ema_decay is not None:
        average = {name: value.clone() for name, value in network.state_dict().items()}
    state = TrainState(network, build_optimizer(network, config.optimizer), average)
    if resume:
        load_checkpoint(run_dir, state)
    return state


def _loader(
    config: TrainConfig, source: ExampleSource, first_step: int, rank: int, processes: int
) -> DataLoader[Batch]:
    """This process's batches from `first_step` on, without end."""
    together = config.batch * processes
    per_step = together * config.accumulate
    stream = TrainingStream(source, config.augmentation, per_step, config.seed)

    def positions() -> Iterator[range]:
        for start in count(first_step * per_step + rank * config.batch, together):
            yield range(start, start + config.batch)

    return DataLoader(
        stream,  # type: ignore[arg-type]  # a function of the position, with no last one
        batch_sampler=positions(),  # type: ignore[arg-type]
        num_workers=config.workers,
        collate_fn=partial(collate, preprocessing=config.preprocessing),
        generator=torch.Generator(),  # its own, so that loading leaves torch's generator alone
        pin_memory=torch.cuda.is_available(),
    )


def _seed(seed: int, step: int, rank: int) -> int:
    """Of the random numbers of one step in one process."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])


def _forward(network: nn.Module, batch: Batch, config: TrainConfig) -> Losses:
    pixels = batch.pixels.contiguous(memory_format=torch.channels_last)
    in_bfloat16 = config.precision == "bfloat16"
    with (
        torch.autocast(pixels.device.type, torch.bfloat16, enabled=in_bfloat16),
        sdpa_kernel(_ATTENTION[pixels.device.type]),
    ):
        output = network.forward_all_layers(pixels)  # type: ignore[operator]
    return compute_losses(output, batch, config.criterion)


def _check_finite(losses: Losses, batch: Batch, step: int) -> None:
    for name, values in losses.terms.items():
        if not bool(values.isfinite().all()):
            raise TrainingError(
                f"expected a finite {name} loss at step {step}, got {values.tolist()} "
                f"for {', '.join(batch.names)}"
            )


@torch.no_grad()
def _update_average(state: TrainState, decay: float | None) -> None:
    """Move the average towards the weights; early steps count more, so that it starts warm."""
    if decay is None:
        return
    decay = min(decay, (1 + state.step) / (10 + state.step))
    for name, value in state.network.state_dict().items():
        if value.is_floating_point():
            state.average[name].lerp_(value, 1 - decay)
        else:
            state.average[name].copy_(value)


@dataclass
class _Report:
    """Means since the last line, for people and for `metrics.jsonl`."""

    path: Path
    config: TrainConfig
    processes: int
    log: Callable[[str], None]
    last_step: int
    last_s: float = field(default_factory=time.monotonic)
    sums: dict[str, Tensor] = field(default_factory=dict)
    batches: int = 0

    def add(self, losses: Losses) -> None:
        self.batches += 1
        for name, values in {"total": losses.total.detach(), **losses.terms}.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(values)) + values

    def step(self, step: int, rate: float, gradient_norm: float) -> None:
        if step % self.config.log_every_steps and step != self.config.steps:
            return
        now = time.monotonic()
        seconds, steps = now - self.last_s, step - self.last_step
        pictures = steps * self.config.batch * self.config.accumulate * self.processes
        row = {
            "step": step,
            "loss": float(self.sums.pop("total")) / self.batches,
            "losses": {n: (v / self.batches).tolist() for n, v in self.sums.items()},
            "learning_rate": rate,
            "gradient_norm": gradient_norm,
            "seconds": seconds,
            "pictures_per_s": pictures / seconds,
        }
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        final = "  ".join(f"{n} {float(v[-1]) / self.batches:.4f}" for n, v in self.sums.items())
        self.log(
            f"step {step}/{self.config.steps}  loss {row['loss']:.3f}  {final}  "
            f"norm {gradient_norm:.2f}  lr {rate:.2e}  {pictures / seconds:.1f} pictures/s  "
            f"ETA {(self.config.steps - step) * seconds / steps / 60:.0f} min"
        )
        self.last_step, self.last_s, self.sums, self.batches = step, now, {}, 0
