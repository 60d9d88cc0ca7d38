"""Post-processing on one core: ours, the dense reference, transformers' functions.

    python -m benchmarks.postprocess [--model weights/scenes] [--seconds 40] [--output FOLDER]

A 640x427 answer from a 512x768 padded input (mask logits 128x192): 100 queries and 150 classes with
20 sure queries, the same all random, and a trained model's output for a scene it never saw. All
contenders are run in turn in one process; the medians are of CPU time of the calling thread, which
a busy machine disturbs less than the clock. Then what the cheaper order of steps, scores first,
costs in labels and in mean IoU, and the memory that a 20-megapixel answer takes.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from benchmarks._report import ROOT, Row, plot, read_arguments, report
from model.data.scenes import draw_scene
from model.evaluation.semantic import count_pixels, semantic_scores
from model.evaluation.speed import in_turn
from model.inference.postprocess import postprocess
from model.inference.preprocess import preprocess
from model.inference.segmenter import Segmenter
from model.structures import MODES, Mode, RawOutput, Sample, Segmentation
from tests.model.inference import dense

LOGITS_HW, PADDED_HW, VALID_HW, OWN_HW = (128, 192), (512, 768), (512, 767), (427, 640)
LARGE_HW = (3651, 5477)
QUERIES, CLASSES, CONFIDENT = 100, 150, 20
OPTIONS = {"score_threshold": 0.5, "overlap_threshold": 0.8, "mask_threshold": 0.5}
ORDERS = ("input", "output", "stride4")
FIRST_SCENE, SCENES = 2_000_010, 12  # seeds that no training draws

Case = tuple[RawOutput, Sample, tuple[bool, ...]]
Contenders = dict[str, Callable[[], object]]


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


def scene_outputs(segmenter: Segmenter) -> Iterator[tuple[RawOutput, Sample, np.ndarray]]:
    """A model's outputs for scenes that it never saw, and their true classes (h, w), -1 = void."""
    manifest = segmenter.artifact.manifest
    config = manifest.preprocessing.model_copy(update={"shortest_edge_px": VALID_HW[0]})
    for seed in range(FIRST_SCENE, FIRST_SCENE + SCENES):
        drawn = draw_scene(seed, *OWN_HW)
        sample = preprocess(drawn.image, config)
        (raw,) = segmenter.infer([sample])
        classes = np.full(drawn.panoptic.max() + 1, -1)
        for segment in drawn.segments:
            classes[segment.id] = segment.class_index
        yield raw, sample, classes[drawn.panoptic]


def answer(case: Case, mode: Mode, at: str = "input") -> Segmentation:
    """Ours."""
    raw, sample, is_thing = case
    return postprocess(raw, sample, mode=mode, is_thing=is_thing, scores_at=at, **OPTIONS)


def transformers_functions(case: Case) -> Contenders:
    """Theirs, by mode."""
    raw, sample, is_thing = case
    processor = transformers.MaskFormerImageProcessor()
    outputs = SimpleNamespace(
        class_queries_logits=torch.from_numpy(raw.class_logits)[None],
        masks_queries_logits=torch.from_numpy(raw.mask_logits)[None],
    )
    sizes = [sample.original_hw]
    stuff = {k for k, thing in enumerate(is_thing) if not thing}
    thresholds = {"threshold": OPTIONS["score_threshold"], "target_sizes": sizes}
    return {
        "semantic": lambda: processor.post_process_semantic_segmentation(outputs, sizes),
        "panoptic": lambda: processor.post_process_panoptic_segmentation(
            outputs, label_ids_to_fuse=stuff, **thresholds
        ),
        "instance": lambda: processor.post_process_instance_segmentation(outputs, **thresholds),
    }


def dense_functions(case: Case) -> Contenders:
    """The definitions, computed as they stand, by mode."""
    raw, sample, is_thing = case
    once = {key: OPTIONS[key] for key in ("score_threshold", "mask_threshold")}
    return {
        "semantic": lambda: dense.semantic(raw, sample, scores_at="input"),
        "panoptic": lambda: dense.panoptic(raw, sample, is_thing=is_thing, **OPTIONS),
        "instance": lambda: dense.instance(raw, sample, is_thing=is_thing, **once),
    }


def times(name: str, case: Case, seconds: float) -> Iterator[Row]:
    """One row per mode; the dense reference, slow and no rival, is timed once."""
    peer, plain = transformers_functions(case), dense_functions(case)
    for mode in MODES:
        runs = in_turn(
            {"ours": lambda mode=mode: answer(case, mode), "transformers": peer[mode]},
            seconds / len(MODES),
            time.thread_time,
        )
        started_s = time.thread_time()
        reference = plain[mode]()
        dense_ms = 1000 * (time.thread_time() - started_s)
        different = (reference.id_map != answer(case, mode).id_map).sum()
        ours_ms, theirs_ms = (1000 * median(runs[who]) for who in ("ours", "transformers"))
        yield {
            "logits": name,
            "mode": mode,
            "ours_ms": ours_ms,
            "dense_ms": dense_ms,
            "transformers_ms": theirs_ms,
            "transformers_over_ours": theirs_ms / ours_ms,
            "pixels_unlike_dense": int(different),
        }


def orders(name: str, case: Case, seconds: float) -> Iterator[Row]:
    """What each order of steps costs, and how often its label is that of the original's order."""
    contenders = {at: lambda at=at: answer(case, "semantic", at) for at in ORDERS}
    runs = in_turn(contenders, seconds, time.thread_time)
    labels = {at: run().id_map for at, run in contenders.items()}
    for at in ORDERS:
        yield {
            "logits": name,
            "scores_at": at,
            "ours_ms": 1000 * median(runs[at]),
            "same_label_percent": f"{100 * float((labels[at] == labels['input']).mean()):.2f}",
        }


def truth(segmenter: Segmenter, is_thing: tuple[bool, ...]) -> list[Row]:
    """Mean IoU by each order on scenes that the model never saw."""
    confusion = {at: np.zeros((len(is_thing) + 1,) * 2, np.int64) for at in ORDERS}
    same = dict.fromkeys(ORDERS, 0.0)
    for raw, sample, labels in scene_outputs(segmenter):
        found = {at: answer((raw, sample, is_thing), "semantic", at).id_map - 1 for at in ORDERS}
        for at in ORDERS:
            confusion[at] += count_pixels(found[at], labels, len(is_thing))
            same[at] += float((found[at] == found["input"]).mean()) / SCENES
    mean_iou = {at: 100 * float(semantic_scores(confusion[at]).mean_iou) for at in ORDERS}
    return [
        {
            "scores_at": at,
            "mean_iou_percent": f"{mean_iou[at]:.2f}",
            "difference_in_points": f"{mean_iou[at] - mean_iou['input']:+.3f}",
            "same_label_percent": f"{100 * same[at]:.2f}",
        }
        for at in ORDERS
    ]


def memory(case: Case) -> list[Row]:
    """Extra resident memory of a 20-megapixel answer, its own map of 80 MB included."""
    raw, sample, is_thing = case
    large = raw, replace(sample, original_hw=LARGE_HW), is_thing
    rows = []
    for mode in MODES:
        answer(case, mode)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the highest so far
        before_mb = resident_mb("VmRSS")
        result = answer(large, mode)
        rows.append({"mode": mode, "extra_mb": resident_mb("VmHWM") - before_mb})
        del result
    return rows


def resident_mb(key: str) -> float:
    """`VmRSS` or `VmHWM` of this process."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else float("nan")


def main() -> None:
    arguments = read_arguments(__doc__ or "", seconds=40)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sample = Sample(np.broadcast_to(np.float32(0), (3, *PADDED_HW)), VALID_HW, OWN_HW)
    is_thing = tuple(k % 3 > 0 for k in range(CLASSES))
    with Segmenter.load(arguments.model or ROOT / "weights" / "scenes") as segmenter:
        classes = segmenter.artifact.manifest.taxonomy.classes
        countable = tuple(entry.is_thing for entry in classes)
        raw, seen, _ = next(scene_outputs(segmenter))
        against_truth = truth(segmenter, countable)
    cases: dict[str, Case] = {
        "20 sure queries": (confident(), sample, is_thing),
        "trained": (raw, seen, countable),
        "all random": (all_random(), sample, is_thing),
    }
    share = arguments.seconds / (2 * len(cases))
    rows = [row for name, case in cases.items() for row in times(name, case, share)]
    by_order = [row for name, case in cases.items() for row in orders(name, case, share)]
    tables = {
        "times": rows,
        "orders": by_order,
        "orders against the truth": against_truth,
        "memory at 20 megapixels": memory(cases["20 sure queries"]),
    }
    report("postprocess", arguments, tables, scenes=SCENES, pixels=OWN_HW)

    def draw(axes: Any) -> None:
        places = range(len(rows))
        for offset, who in ((-0.2, "ours_ms"), (0.2, "transformers_ms")):
            axes.barh([p + offset for p in places], [r[who] for r in rows], 0.4, label=who[:-3])
        axes.set_yticks(places, [f"{row['logits']}, {row['mode']}" for row in rows])
        axes.invert_yaxis()
        axes.set(xscale="log", xlabel="milliseconds on one core")
        axes.legend()

    plot(arguments, "postprocess", draw)


if __name__ == "__main__":
    main()
