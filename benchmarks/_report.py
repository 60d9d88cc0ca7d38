"""What all benchmarks share: where numbers come from, tables, JSON files, plots.

A result is one JSON file, `{"benchmark", "machine", "settings", "tables": {name: [row, ...]}}`. The
rows of a table have the same keys, with the unit in each name. Printed tables, plots and
`docs/performance.md` are made from the rows alone.
"""

import argparse
import io
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from model.evaluation.machine import describe_machine, versions

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PICTURE_WH = (640, 427)
_PEERS = ("fastapi", "litserve", "transformers", "uvicorn", "pycocotools")

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Arguments:
    """What every benchmark may be told.

    Attributes:
        model: the folder to measure; None is the benchmarks' own Swin-T.
        seconds: for what is timed; loading comes on top.
        output: folder for the JSON file and the plot.
    """

    model: Path | None
    seconds: float
    output: Path


def read_arguments(doc: str, seconds: float) -> Arguments:
    """Parse the command line; `seconds` is the default."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--model", type=Path, help="an artifact; default: a Swin-T, 150 classes")
    parser.add_argument("--seconds", type=float, default=seconds, help="time to measure for")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for JSON and plot")
    return Arguments(**vars(parser.parse_args()))


def pictures() -> list[bytes]:
    """The project's samples as JPEG of 640x427."""
    return [_as_jpeg(path) for path in sorted((ROOT / "samples").glob("*.jpg"))]


def _as_jpeg(path: Path) -> bytes:
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.resize(PICTURE_WH).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def report(name: str, arguments: Arguments, tables: Tables, **settings: Any) -> None:
    """Print the tables and write the JSON file.

    Args:
        name: of the benchmark and the file.
        arguments: of this run.
        tables: by name.
        settings: what else decided the numbers.
    """
    for title, rows in tables.items():
        print(f"\n{title}\n{markdown(rows)}", flush=True)
    content = {
        "benchmark": name,
        "machine": about(),
        "settings": {"seconds": arguments.seconds, **settings},
        "tables": {title: list(rows) for title, rows in tables.items()},
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / f"{name}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def about() -> dict[str, str]:
    """Machine, versions, and the commit, marked where the tree differs from it."""
    return describe_machine() | versions(_PEERS) | {"commit": _commit()}


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=ROOT)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "app", "cli", "model", "benchmarks/*.py")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table; keys are the columns, underscores become spaces."""
    if not rows:
        return "(nothing)"
    keys = list(rows[0])
    lines = [[_heading(key) for key in keys], ["---"] * len(keys)]
    lines += [[_cell(row[key]) for key in keys] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _heading(key: str) -> str:
    words, _, unit = key.rpartition("_")
    units = {"ms": "ms", "s": "s", "mb": "MB", "kb": "kB", "px": "px", "percent": "%"}
    if words and unit in units:
        return f"{words.replace('_', ' ')}, {units[unit]}".replace(" per, s", "/s")
    return key.replace("_", " ")


def _cell(value: object) -> str:
    """Three digits of a number; None is a dash."""
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank).

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("expected at least one value, got none")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def plot(arguments: Arguments, name: str, draw: Callable[[Any], None], wide: bool = False) -> None:
    """Write `NAME.png` where matplotlib is installed (the extra `bench`).

    Args:
        arguments: of this run.
        name: of the file.
        draw: given the axes.
        wide: twice as wide as tall.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no plot: matplotlib is not installed (`pip install -e '.[bench]'`)")
        return
    figure = Figure(figsize=(8, 4) if wide else (6, 4), layout="constrained")
    draw(figure.subplots())
    arguments.output.mkdir(parents=True, exist_ok=True)
    figure.savefig(buffer := io.BytesIO(), dpi=100)
    with Image.open(buffer) as picture:  # few colours: a third of the bytes
        picture.convert("RGB").quantize(64).save(arguments.output / f"{name}.png", optimize=True)
