"""Pictures of a model card: how the run went, and what the model gets wrong."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from model.config import Taxonomy
from model.data.dataset import ExampleSource
from model.data.show import as_segmentation, sheet, shown
from model.evaluation.evaluate import PictureScore
from model.inference.segmenter import Segmenter
from model.structures import Segmentation
from model.training.report import METRICS

CURVES, FAILURES = "curves.png", "failures.png"
_LONGEST_PX = 320
_SHOWN_SCORES = ("mIoU", "PQ", "AP")


def read_rows(run_dir: Path, last_step: int) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl` up to a step, in order, without what a resumed run repeated."""
    path = run_dir / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = {
        (row["step"], "loss" in row): row
        for row in map(json.loads, lines)
        if row["step"] <= last_step
    }
    return [rows[key] for key in sorted(rows)]


def curves_picture(rows: Sequence[dict[str, Any]]) -> Image.Image:
    """The final layer's losses over the steps, and beside them the scores on the way, if any.

    Args:
        rows: of `read_rows`.
    """
    training = [row for row in rows if "losses" in row]
    scored = [row for row in rows if "scores" in row]
    figure = Figure(figsize=(8 if scored else 5, 3), dpi=100, layout="constrained")
    plots = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    steps = [row["step"] for row in training]
    for name in training[-1]["losses"] if training else ():
        plots[0].semilogy(steps, [row["losses"][name][-1] for row in training], label=name)
    plots[0].set(xlabel="step", ylabel="loss of the final layer")
    for name in _SHOWN_SCORES if scored else ():
        values = [(r["step"], r["scores"][name]) for r in scored if name in r["scores"]]
        if values:
            plots[1].plot(*zip(*values, strict=True), marker=".", label=name)
            plots[1].set(xlabel="step", ylabel="score on the way", ylim=(0, 1))
    for plot in plots:
        plot.grid(alpha=0.3)
        if plot.lines:
            plot.legend(frameon=False)
    return _drawn(figure)


def failures_picture(
    worst: Sequence[PictureScore], source: ExampleSource, segmenter: Segmenter
) -> Image.Image:
    """Label maps of the worst pictures, two a row: truth left, answer right, and no photograph.

    Photographs are left out because their licence may not let them travel with the weights.

    Args:
        worst: which pictures, at least one.
        source: the pictures.
        segmenter: of the model.
    """
    taxonomy = segmenter.artifact.manifest.taxonomy
    cells = []
    for picture in worst:
        example = source[picture.index]
        pair = as_segmentation(example), segmenter.segment(example.image)
        cells += [_label_map(segmentation, taxonomy) for segmentation in pair]
    return sheet(cells, columns=4, gap_px=8).quantize(128)


def _label_map(segmentation: Segmentation, taxonomy: Taxonomy) -> Image.Image:
    """The segments' colours on white, without the photograph."""
    height, width = segmentation.hw
    white = np.full((height, width, 3), 255, np.uint8)
    painted = shown(white, segmentation, taxonomy, names=False)
    painted.thumbnail((_LONGEST_PX, _LONGEST_PX))
    return painted


def _drawn(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB").quantize(64)
