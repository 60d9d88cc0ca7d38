"""The results of a study as a table, a plot and a file for programs."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from model.errors import InvalidParameterError
from model.training.ablations.run import Result
from model.training.ablations.studies import Arm, Study
from model.training.run_folder import versions

NAMES = {"PQ_th": "PQ^Th", "PQ_st": "PQ^St of panoptic answers"}


def write_results(study: Study, results: Sequence[Result], folder: Path) -> None:
    """Write `STUDY.json`: every result, the settings of the first arm, machine and versions.

    Args:
        study: what was compared.
        results: of any of its arms and seeds.
        folder: exists.
    """
    settings = study.arms[0].config.model_dump(mode="json", exclude={"taxonomy", "architecture"})
    content = {
        "study": study.name,
        "machine": versions(),
        "settings": settings,
        "results": [vars(result) for result in results],
    }
    (folder / f"{study.name}.json").write_text(
        json.dumps(content, indent=1) + "\n", encoding="utf-8"
    )


def table(study: Study, results: Sequence[Result]) -> str:
    """One row per arm: scores in percent, their spread over the seeds, and the paper's scores."""
    shown = [NAMES.get(name, name) for name in study.scores]
    heads = ["arm", "parameters", *shown, *(f"{name}, paper" for name in shown)]
    lines = [heads, ["---"] * len(heads)]
    for arm in study.arms:
        mine = [result for result in results if result.arm == arm.name]
        if mine:
            lines.append(_row(arm, mine, study.scores))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(arm: Arm, results: Sequence[Result], scores: Sequence[str]) -> list[str]:
    ours = [_percent([result.scores[name] for result in results]) for name in scores]
    paper = [f"{arm.paper[name]:.1f}" if name in arm.paper else "–" for name in scores]
    return [arm.name, f"{results[0].parameters / 1e6:.2f} M", *ours, *paper]


def _percent(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{100 * values[0]:.1f}"
    return f"{100 * mean(values):.1f} ({100 * min(values):.1f}-{100 * max(values):.1f})"


def draw(study: Study, results: Sequence[Result], axes: Any) -> None:
    """Bars of the mean scores, whiskers from the worst to the best seed.

    Args:
        study: what was compared.
        results: of all its arms.
        axes: of matplotlib.
    """
    width = 0.8 / len(study.scores)
    for place, name in enumerate(study.scores):
        found = [
            [100 * result.scores[name] for result in results if result.arm == arm.name]
            for arm in study.arms
        ]
        heights = [mean(values) for values in found]
        below = [h - min(values) for h, values in zip(heights, found, strict=True)]
        above = [max(values) - h for h, values in zip(heights, found, strict=True)]
        where = [i + (place - (len(study.scores) - 1) / 2) * width for i in range(len(found))]
        label = NAMES.get(name, name)
        axes.bar(where, heights, width, label=label, yerr=[below, above], capsize=3)
    axes.set_xticks(range(len(study.arms)), [arm.name.replace(", ", "\n") for arm in study.arms])
    axes.set_ylabel("%")
    axes.legend(fontsize=8)


def plot(study: Study, results: Sequence[Result], path: Path) -> None:
    """Write the plot."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    draw(study, results, figure.subplots())
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(buffer := io.BytesIO(), dpi=90)
    with Image.open(buffer) as picture:
        picture.convert("RGB").quantize(64).save(path, optimize=True)


def fill(page: str, name: str, content: str) -> str:
    """Replace what stands between `<!-- ablation NAME -->` and `<!-- end -->`.

    Raises:
        InvalidParameterError: the page has no such place.
    """
    marked = re.compile(rf"(<!-- ablation {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not marked.search(page):
        raise InvalidParameterError(
            f"expected a page with a line `<!-- ablation {name} -->`, and `<!-- end -->` behind it"
        )
    return marked.sub(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", page)
