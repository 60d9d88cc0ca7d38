"""How fast is a training step, and how much memory does it take, beside transformers' own?

    python -m benchmarks.training [--seconds 360] [--side-px 512] [--batch 2] [--targets 8 40]

The same batch, the same weights (R50, 150 classes, 100 queries, 6 decoder layers), the same
optimizer, float32 on a CPU and bfloat16 autocast on a GPU: forward, matching, losses, backward,
step. Pictures are the paper's crops of 512 px; of smaller ones the weights and their moments are a
larger part, in memory and in time. Targets are random rectangles. transformers computes its own
losses: of `every layer`, as the paper supervises (and of the queries' all-zero start, which it
counts as a layer), or of the `last layer`, as its configuration comes. Ours: `all pixels` is the
paper's loss, the other rows are options of `criterion`.

Speed: all in turn in one process; on a CPU processor time of one thread, so that other programs
count for little. Memory: each in a fresh process, its peak after two steps; `ready` is before the
first one. On a GPU it is that of tensors alone.

Loading: what `maskformer train`'s own loader gives in the paper's crops of 512 px, from JPEG and
PNG files of 683x512. About ten minutes on two cores; `make bench` leaves it out.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks._report import RESULTS, ROOT, Arguments, Row, markdown, plot, report
from model.checkpoints.export_huggingface import export_huggingface
from model.config import ClassInfo
from model.data.collate import Batch, Target
from model.data.readers.own_folder import open_own_folder
from model.evaluation.speed import in_turn
from model.network.maskformer import build_network
from model.training import train as trainer
from model.training.config import TrainConfig, load_preset
from model.training.criterion import CriterionConfig
from model.training.optimizer import build_optimizer
from model.training.publish import publish

PRESET = "ade20k_maskformer_r50"
EXACT, EVERY, LAST = "ours, all pixels", "transformers, every layer", "transformers, last layer"
CRITERIA = {
    EXACT: CriterionConfig(),
    "ours, sampled": CriterionConfig(pixels="sampled", match_every=2),
}
WHO = (*CRITERIA, EVERY, LAST)
WORKERS = (0, 1, 8)
PICTURE_WH, BANDS = (683, 512), 8  # pictures to load, and classes in each
Step = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """What a step is measured at.

    Attributes:
        models: folder that holds the model as `ours` and as `theirs`.
        side_px: of the square pictures.
        batch: pictures of a step.
        targets: of each picture.
    """

    models: Path
    side_px: int
    batch: int
    targets: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=360, help="time to measure speed for")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for JSON and plot")
    parser.add_argument("--side-px", type=int, default=512, help="sides of a picture")
    parser.add_argument("--batch", type=int, default=2, help="pictures of a step")
    parser.add_argument("--targets", type=int, nargs="+", default=[8, 40], help="of each picture")
    told = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes whose memory is measured
    torch.set_num_threads(1)
    arguments = Arguments(None, told.seconds, told.output)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder))
        for count in told.targets:
            setting = Setting(Path(folder), told.side_px, told.batch, count)
            times = measure_speed(setting, told.seconds / len(told.targets))
            memory = {who: measure_memory(who, setting) for who in WHO}
            rows += compare(setting, times, memory)
            print(markdown(rows), flush=True)
    tables = {"steps": rows, "loading": measure_loading(told.seconds / 8)}
    settings = {"side_px": told.side_px, "batch": told.batch, "device": device().type}
    report("training", arguments, tables, **settings)
    plot(arguments, "training", partial(draw, rows), wide=True)


def write_models(folder: Path) -> None:
    """The same random weights for both."""
    config = load_preset(PRESET)
    torch.manual_seed(0)
    network = build_network(config.architecture)
    export_huggingface(publish(config, network.state_dict(), 0, folder / "ours"), folder / "theirs")


def compare(
    setting: Setting,
    times: Mapping[str, Sequence[float]],
    memory: Mapping[str, tuple[float, float]],
) -> list[Row]:
    """One row per contender, beside transformers with every layer supervised."""
    rates = {who: setting.batch / median(times[who]) for who in WHO}
    # Round by round, because the speed of a machine drifts.
    ratios = {who: np.divide(times[EVERY], times[who]) for who in WHO}
    return [
        {
            "targets": setting.targets,
            "who": who,
            "pictures_per_s": rates[who],
            "times_transformers": float(np.median(ratios[who])),
            "ready_mb": memory[who][0],
            "peak_mb": memory[who][1],
            "share_of_its_peak": memory[who][1] / memory[EVERY][1],
        }
        for who in WHO
    ]


def device() -> torch.device:
    """Where all of them run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def measure_speed(setting: Setting, seconds: float) -> dict[str, list[float]]:
    """Seconds of each step of each contender."""
    steps = {who: make_step(who, setting) for who in WHO}
    on_gpu = device().type == "cuda"
    return in_turn(steps, seconds, time.perf_counter if on_gpu else time.process_time)


def measure_memory(who: str, setting: Setting) -> tuple[float, float]:
    """Megabytes before the first step and at the peak, in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_follow_memory, who, setting).result()


def _follow_memory(who: str, setting: Setting) -> tuple[float, float]:
    torch.set_num_threads(1)
    step = make_step(who, setting)
    ready_mb = _peak_mb()
    for _ in range(2):
        step()
    return ready_mb, _peak_mb()


def _peak_mb() -> float:
    """Most memory of this process so far; `ru_maxrss` would begin with its parent's."""
    if device().type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(x for x in lines if x.startswith("VmHWM:")).split()[1]) * 1024 / 1e6


def make_step(who: str, setting: Setting) -> Step:
    """One optimizer step of that contender, on the same batch again and again."""
    config = load_preset(PRESET).model_copy(
        update={
            "init": str(setting.models / "ours"),
            "precision": "bfloat16" if device().type == "cuda" else "float32",
            "criterion": CRITERIA.get(who, CriterionConfig()),
        }
    )
    batch = random_batch(setting, config.architecture.num_classes)
    torch.manual_seed(0)
    if who in CRITERIA:
        state = trainer._start(config, Path(), device(), False, trainer._say_nothing)
        return partial(_our_step, state, batch, config)
    network = _their_network(setting.models / "theirs", every_layer=who == EVERY)
    optimizer = build_optimizer(network, config.optimizer)
    return partial(_their_step, network, optimizer, batch, config)


def random_batch(setting: Setting, classes: int) -> Batch:
    """Noise with rectangles as targets, the same for everyone."""
    rng = np.random.default_rng(0)
    images, side_px = setting.batch, setting.side_px
    targets = []
    for _ in range(images):
        masks = np.zeros((setting.targets, side_px, side_px), bool)
        for mask in masks:
            (top, bottom), (left, right) = np.sort(rng.integers(0, side_px, (2, 2)), 1)
            mask[top : bottom + 1, left : right + 1] = True
        labels = torch.from_numpy(rng.integers(0, classes, setting.targets))
        targets.append(Target(labels, torch.from_numpy(masks)))
    pixels = torch.from_numpy(rng.standard_normal((images, 3, side_px, side_px), np.float32))
    valid = torch.ones(images, side_px, side_px, dtype=torch.bool)
    names = tuple(f"picture {index}" for index in range(images))
    return Batch(pixels, tuple(targets), valid, names).to(device())


def _our_step(state: trainer.TrainState, batch: Batch, config: TrainConfig) -> float:
    """What `train` does for one step."""
    losses = trainer._forward(state.network.forward_all_layers, batch, config)  # type: ignore[arg-type]
    trainer._check_finite(losses, batch, state.step)
    torch.autograd.backward(losses.total)
    return trainer._move(state, config, processes=1)


def _their_network(folder: Path, *, every_layer: bool) -> nn.Module:
    """The model of transformers, ready to train."""
    from transformers import MaskFormerForInstanceSegmentation

    network: nn.Module = MaskFormerForInstanceSegmentation.from_pretrained(
        folder,
        dtype=torch.float32,
        use_auxiliary_loss=every_layer,
        output_hidden_states=every_layer,
    )
    return network.train().to(device())


def _their_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, config: TrainConfig
) -> float:
    in_bfloat16 = config.precision == "bfloat16"
    with torch.autocast(device().type, torch.bfloat16, enabled=in_bfloat16):
        loss = network(
            pixel_values=batch.pixels,
            mask_labels=[target.masks.float() for target in batch.targets],
            class_labels=[target.labels for target in batch.targets],
        ).loss
    loss.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), config.optimizer.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(norm)


def measure_loading(seconds: float) -> list[Row]:
    """Pictures a second of the loader, by number of worker processes."""
    with tempfile.TemporaryDirectory() as folder:
        config = load_preset(PRESET)
        _write_pictures(Path(folder), config.taxonomy.classes)
        source = open_own_folder(Path(folder), "", config.taxonomy)
        rows = []
        for workers in WORKERS:
            told = config.model_copy(update={"workers": workers, "batch": 8})
            batches = iter(trainer._loader(told, source, 0, 0, 1))
            for _ in range(2 * max(1, workers)):
                next(batches)  # they come in turn: now every worker has started
            begun_s, count = time.perf_counter(), 0
            while time.perf_counter() - begun_s < seconds:
                count += len(next(batches).pixels)
            rate = count / (time.perf_counter() - begun_s)
            rows.append({"workers": workers, "pictures_per_s": rate})
    return rows


def _write_pictures(folder: Path, classes: Sequence[ClassInfo]) -> None:
    """The project's samples with labels in bands, as a person's own folder without parts."""
    named = {"name": "bands", "classes": [{"name": info.name} for info in classes]}
    (folder / "classes.json").write_text(json.dumps(named), encoding="utf-8")
    width, height = PICTURE_WH
    bands = np.repeat(np.arange(height)[:, None] * BANDS // height, width, 1).astype(np.uint8)
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for path in sorted((ROOT / "samples").glob("*.jpg")):
        with Image.open(path) as picture:
            picture.resize(PICTURE_WH).save(folder / "images" / path.name, quality=90)
        Image.fromarray(bands).save(folder / "labels" / f"{path.stem}.png")


def draw(rows: Sequence[Row], axes: Any) -> None:
    """Peak memory over speed, a point per contender and number of targets."""
    for who in WHO:
        mine = [row for row in rows if row["who"] == who]
        axes.plot(
            [row["pictures_per_s"] for row in mine],
            [row["peak_mb"] for row in mine],
            "o-",
            label=who,
        )
        for row in mine:
            axes.annotate(f" {row['targets']}", (row["pictures_per_s"], row["peak_mb"]))
    axes.set(xlabel="pictures per second (labels: targets of a picture)", ylabel="peak, MB")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
