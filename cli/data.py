"""`maskformer data`: look at a data set before training on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from model.config import Taxonomy
    from model.data.check import DataReport
    from model.data.dataset import ExampleSource
    from model.data.sources import DataConfig

data = typer.Typer(help="Look at a data set before training on it.", no_args_is_help=True)

_LISTED = 10  # names of each kind that are printed
_ON_SHEET, _CELL_PX = 24, 360


@data.callback()
def _data() -> None:
    """Keep `check` a word of its own."""


@data.command()
def check(
    path: Annotated[Path, typer.Argument(help="Folder of the data set, or its COCO JSON file.")],
    preset: Annotated[
        str | None, typer.Option(help="Read it as this preset does: layout, classes, queries.")
    ] = None,
    taxonomy: Annotated[
        Path | None, typer.Option(help="Class list to hold it against, instead of its own.")
    ] = None,
    queries: Annotated[
        int | None,
        typer.Option(min=1, help="Queries of the network; default: the preset's, or 100."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the sheets of overlays.")] = Path(
        "runs/data_check"
    ),
) -> None:
    """Read every picture of PATH, say what is in it, and draw a sheet of some."""
    from model.data.check import check_data
    from model.data.sources import PARTS, open_part
    from model.errors import DatasetError

    where, classes, slots = _describe(path, preset, taxonomy)
    problems = 0
    for part in PARTS if _two_parts(where) else PARTS[:1]:
        source = open_part(where, part, classes)
        report = check_data(source, classes, queries or slots)
        typer.echo(f"== {part}\n{text(report, classes, queries or slots)}")
        if report.pictures:
            typer.echo(f"overlays: {_draw(source, classes, output / f'{part}.jpg')}\n")
        problems += len(report.problems)
    if problems:
        raise DatasetError(f"expected readable pictures only, got {problems} with a problem")


def text(report: "DataReport", taxonomy: "Taxonomy", queries: int) -> str:
    """The report for people."""
    labelled = report.pixels.sum()
    total = max(1, labelled + report.void_px)
    most, name = report.most_segments
    width = max(len(name) for name in ("(unlabelled)", *(c.name for c in taxonomy.classes)))
    lines = [f"{'class':<{width}}   pixels  segments  pictures"]
    for index, info in enumerate(taxonomy.classes):
        share = report.pixels[index] / total
        counts = f"{report.segments[index]:>9,} {report.containing[index]:>9,}"
        lines.append(f"{info.name:<{width}} {share:>8.2%} {counts}")
    lines.append(f"{'(unlabelled)':<{width}} {report.void_px / total:>8.2%}")
    lines.append(
        f"{report.pictures} pictures, {report.mean_segments:.1f} segments each, "
        f"at most {most} ({name})"
    )
    crowded = [f"{name} ({count})" for name, count in report.crowded]
    lines += _listed("without objects", report.empty)
    lines += _listed(f"with more segments than {queries} queries", crowded)
    lines += _listed("that cannot be read", report.problems)
    return "\n".join(lines)


def _listed(kind: str, names: "tuple[str, ...] | list[str]") -> list[str]:
    rest = [f"  and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return [f"pictures {kind}: {len(names)}", *(f"  {n}" for n in names[:_LISTED]), *rest]


def _describe(
    path: Path, preset: str | None, taxonomy: Path | None
) -> "tuple[DataConfig, Taxonomy, int]":
    """Where the data are, their classes, and the number of queries to hold them against."""
    from model.checkpoints.taxonomy import read_taxonomy
    from model.data.detect import detect_data
    from model.training.config import load_preset, located

    if preset is None:
        where, classes = detect_data(path)
        return where, classes if taxonomy is None else read_taxonomy(taxonomy), 100
    config = located(load_preset(preset), path)
    decoder = config.architecture.transformer_decoder
    classes = config.taxonomy if taxonomy is None else read_taxonomy(taxonomy)
    return config.data, classes, decoder.queries if decoder else len(classes.classes)


def _two_parts(where: "DataConfig") -> bool:
    train, val = (getattr(where, part, part) for part in ("train", "val"))
    return bool(train != val)


def _draw(source: "ExampleSource", taxonomy: "Taxonomy", path: Path) -> Path:
    """Pictures spread evenly over the data set, with their annotations."""
    from model.data.show import as_segmentation, sheet, shown, shrink
    from model.errors import DatasetError

    step = max(1, len(source) // _ON_SHEET)
    cells = []
    for index in range(0, len(source), step)[:_ON_SHEET]:
        try:
            example = shrink(source[index], _CELL_PX)
        except DatasetError:  # told already
            continue
        cells.append(shown(example.image, as_segmentation(example), taxonomy))
    path.parent.mkdir(parents=True, exist_ok=True)
    if cells:
        sheet(cells).save(path, quality=88)
    return path
