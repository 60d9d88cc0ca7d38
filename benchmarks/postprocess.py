"""Time of post-processing on one core: ours, the dense reference, transformers' functions.

    python -m benchmarks.postprocess [--model weights/scenes] [--repeats 15] [--json FILE]

A 640x427 answer from a 512x768 padded input (mask logits 128x192), 100 queries, 150 classes. All
contenders are run in turn in one process; the table gives the median CPU time of the calling
thread, which a busy machine disturbs less than the clock, and how many times ours is faster.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import json
import platform
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numba
import numpy as np
import torch
import transformers
from PIL import Image

from model.inference.postprocess import postprocess
from model.structures import MODES, RawOutput, Sample
from tests.model.inference import dense

LOGITS_HW, PADDED_HW, VALID_HW, OWN_HW = (128, 192), (512, 768), (512, 767), (427, 640)
QUERIES, CLASSES, CONFIDENT = 100, 150, 20
OPTIONS = {"score_threshold": 0.5, "overlap_threshold": 0.8, "mask_threshold": 0.5}


def confident(seed: int = 0) -> RawOutput:
    """20 sure queries whose smooth regions tile the picture, 80 for no-object.

    Borders rise by 3 logits a cell, are as long per area as those of a trained scenes model, and
    carry noise of 0.3; no-object queries have masks too, as trained ones do.
    """
    rng = np.random.default_rng(seed)
    regions = waves(rng, CONFIDENT)
    two = np.partition(regions, -2, axis=0)[-2:]
    rivals = np.where(regions == two[1], two[0], two[1])
    masks = np.concatenate(
        [np.clip(24 * (regions - rivals), -10, 10), 4 * waves(rng, QUERIES - CONFIDENT) - 4]
    )
    masks += rng.normal(size=masks.shape) * 0.3
    classes = rng.normal(size=(QUERIES, CLASSES + 1))
    classes[np.arange(CONFIDENT), rng.permutation(CLASSES)[:CONFIDENT]] += 9.5
    classes[CONFIDENT:, CLASSES] += 10
    return RawOutput(classes.astype(np.float32), masks.astype(np.float32))


def waves(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random smooth fields with a grain of about 30 cells."""
    grids = rng.normal(size=(count, 7, 9)).astype(np.float32)
    enlarged = [Image.fromarray(g).resize(LOGITS_HW[::-1], Image.Resampling.BICUBIC) for g in grids]
    return np.stack([np.asarray(picture) for picture in enlarged])


def all_random(seed: int = 0) -> RawOutput:
    """The worst case: nothing is decided anywhere."""
    rng = np.random.default_rng(seed)
    classes = rng.normal(size=(QUERIES, CLASSES + 1)).astype(np.float32)
    return RawOutput(classes, rng.normal(size=(QUERIES, *LOGITS_HW)).astype(np.float32))


def trained(folder: Path) -> tuple[RawOutput, Sample, tuple[bool, ...]]:
    """A bundled model's output for a drawn scene."""
    from model.data.scenes import draw_scene
    from model.inference.preprocess import preprocess
    from model.inference.segmenter import Segmenter

    picture = draw_scene(10**6, *OWN_HW).image
    with Segmenter.load(folder) as segmenter:
        manifest = segmenter.artifact.manifest
        config = manifest.preprocessing.model_copy(update={"shortest_edge_px": VALID_HW[0]})
        sample = preprocess(picture, config)
        (raw,) = segmenter.infer([sample])
    return raw, sample, tuple(entry.is_thing for entry in manifest.taxonomy.classes)


def contenders(
    raw: RawOutput, sample: Sample, is_thing: tuple[bool, ...]
) -> dict[str, dict[str, Callable[[], object]]]:
    """Per question, what answers it."""
    processor = transformers.MaskFormerImageProcessor()
    outputs = SimpleNamespace(
        class_queries_logits=torch.from_numpy(raw.class_logits)[None],
        masks_queries_logits=torch.from_numpy(raw.mask_logits)[None],
    )
    sizes = [sample.original_hw]
    stuff = {k for k, thing in enumerate(is_thing) if not thing}
    thresholds = {"threshold": OPTIONS["score_threshold"], "target_sizes": sizes}
    theirs = {
        "semantic": lambda: processor.post_process_semantic_segmentation(outputs, sizes),
        "panoptic": lambda: processor.post_process_panoptic_segmentation(
            outputs, label_ids_to_fuse=stuff, **thresholds
        ),
        "instance": lambda: processor.post_process_instance_segmentation(outputs, **thresholds),
    }
    once = {key: OPTIONS[key] for key in ("score_threshold", "mask_threshold")}
    plain = {
        "panoptic": lambda: dense.panoptic(raw, sample, is_thing=is_thing, **OPTIONS),
        "instance": lambda: dense.instance(raw, sample, is_thing=is_thing, **once),
    }
    table: dict[str, dict[str, Callable[[], object]]] = {}
    for mode in MODES:
        for at in ("input", "output", "stride4") if mode == "semantic" else ("output",):
            question = f"semantic at {at}" if mode == "semantic" else mode
            table[question] = {
                "ours": lambda mode=mode, at=at: postprocess(
                    raw, sample, mode=mode, is_thing=is_thing, scores_at=at, **OPTIONS
                ),
                "dense": plain.get(mode, lambda at=at: dense.semantic(raw, sample, scores_at=at)),
                "transformers": theirs[mode],
            }
    return table


def measure(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU milliseconds each; slow ones (over 0.2 s) are run less often."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            if sum(times[name]) < 0.2 * repeats or len(times[name]) < 3:
                start = time.thread_time()
                function()
                times[name].append(time.thread_time() - start)
    return {name: 1000 * median(some) for name, some in times.items()}


def agreement(raw: RawOutput, sample: Sample, is_thing: tuple[bool, ...]) -> dict[str, float]:
    """Share of pixels with the label that `scores_at="input"` gives."""
    labels = {
        at: postprocess(
            raw, sample, mode="semantic", is_thing=is_thing, scores_at=at, **OPTIONS
        ).id_map
        for at in ("input", "output", "stride4")
    }
    return {at: float((labels[at] == labels["input"]).mean()) for at in ("output", "stride4")}


def machine() -> dict[str, str]:
    """Where and of what these numbers are."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return {
        "cpu": cpus[0].split(":")[1].strip() if cpus else platform.processor(),
        "cpus": str(os.cpu_count()),
        "load": str(os.getloadavg()[0]),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        **{m.__name__: m.__version__ for m in (np, numba, torch, transformers)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="an artifact; its output for a drawn scene")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sample = Sample(np.broadcast_to(np.float32(0), (3, *PADDED_HW)), VALID_HW, OWN_HW)
    is_thing = tuple(k % 3 > 0 for k in range(CLASSES))
    cases = {
        "confident": (confident(), sample, is_thing),
        "random": (all_random(), sample, is_thing),
    }
    if arguments.model:
        cases["trained"] = trained(arguments.model)
    results: dict[str, dict[str, dict[str, float]]] = {}
    agreements: dict[str, dict[str, float]] = {}
    print("| logits | question | ours, ms | dense | transformers | times faster |")
    print("|---|---|---|---|---|---|")
    for name, case in cases.items():
        results[name] = {}
        for question, functions in contenders(*case).items():
            row = results[name][question] = measure(functions, arguments.repeats)
            ours, plain, theirs = row["ours"], row["dense"], row["transformers"]
            print(
                f"| {name} | {question} | {ours:.1f} | {plain:.0f} | {theirs:.0f} "
                f"| {plain / ours:.0f}, {theirs / ours:.0f} |",
                flush=True,
            )
        agreements[name] = agreement(*case)
    print("\n| logits | semantic at | same label as at input, % of pixels |\n|---|---|---|")
    for name, shares in agreements.items():
        for at, share in shares.items():
            print(f"| {name} | {at} | {100 * share:.2f} |")
    if arguments.json:
        content = {"machine": machine(), "cpu_ms": results, "agreement": agreements}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
