"""`maskformer evaluate`: score a model on annotated pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from model.config import Taxonomy
    from model.data.dataset import ExampleSource
    from model.data.sources import DataConfig
    from model.evaluation.evaluate import Scores
    from model.inference.segmenter import Segmenter
    from model.inference.tile import Tile

_COLUMNS = ("IoU", "ACC", "PQ", "SQ", "RQ", "AP")


def evaluate(
    artifact: Annotated[Path, typer.Argument(help="Model folder.")],
    data: Annotated[
        Path | None, typer.Option(help="Data set to score on; see `data check`.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Read the data as this preset does; DATA is its folder.")
    ] = None,
    part: Annotated[str, typer.Option(help="Part of the data: val or train.")] = "val",
    scenes: Annotated[
        int, typer.Option(min=1, help="Number of drawn scenes, where no data are given.")
    ] = 200,
    seed: Annotated[
        int, typer.Option(min=0, help="First scene; training uses seeds below 100000.")
    ] = 1_000_000,
    height_px: Annotated[int, typer.Option(min=32, help="Height of a scene.")] = 256,
    width_px: Annotated[int, typer.Option(min=32, help="Width of a scene.")] = 384,
    views: Annotated[
        bool, typer.Option("--views", help="Semantic answers from six sizes and mirror images.")
    ] = False,
    tile: Annotated[
        str | None,
        typer.Option(help="Answer in windows with this edge in pixels, or auto; see `segment`."),
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, torch or auto.")] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the scores to this file.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for scores.json, confusion.png and the worst pictures."),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst pictures.")] = 12,
) -> None:
    """Score ARTIFACT: mIoU, panoptic quality and AP, overall and per class."""
    from model.data.scene_dataset import SceneDataset
    from model.evaluation.evaluate import evaluate as score
    from model.inference.segmenter import Segmenter
    from model.inference.tile import parse_tile

    edge = parse_tile(tile)
    with Segmenter.load(artifact, engine=engine) as segmenter:
        source: ExampleSource = SceneDataset(seed, scenes, (height_px, width_px))
        if data is not None or preset is not None:
            source = _open(data, preset, part, segmenter.artifact.manifest.taxonomy)
        scores = score(segmenter, source, views=views, tile=edge)
        print(table(scores))
        if json_file is not None:
            _write_json(scores, json_file)
        if output is not None:
            _write(scores, segmenter, source, output, worst, edge)


def table(scores: "Scores") -> str:
    """The scores for people, in percent."""
    width = max(len(name) for name in scores.class_names)
    lines = [" " * width + "".join(f"{name:>7}" for name in _COLUMNS)]
    for row in scores.rows():
        cells = (row[name] for name in _COLUMNS)
        numbers = (f"{c:7.1%}" if isinstance(c, float) else f"{'-':>7}" for c in cells)
        lines.append(f"{row['class']:<{width}}" + "".join(numbers).replace("%", " "))
    lines.append("")
    lines.append(
        f"{scores.images} pictures: "
        + ", ".join(f"{name} {value:.1%}" for name, value in scores.summary().items())
    )
    lines.append("mIoU: mean over classes in the truth; mIoU_union: also over those only predicted")
    return "\n".join(lines)


def _open(
    data: Path | None, preset: str | None, part: str, taxonomy: "Taxonomy"
) -> "ExampleSource":
    """The pictures, with the model's class indices."""
    from model.data.detect import detect_data
    from model.data.sources import PARTS, open_part
    from model.errors import InvalidParameterError
    from model.training.config import load_preset, located

    chosen = next((name for name in PARTS if name == part), None)
    if chosen is None:
        raise InvalidParameterError(f"expected a part among {', '.join(PARTS)}, got {part!r}")
    where: DataConfig
    if preset is None:
        assert data is not None
        where = detect_data(data)[0]
    else:
        config = load_preset(preset)
        where = config.data if data is None else located(config, data).data
    return open_part(where, chosen, taxonomy)


def _write_json(scores: "Scores", path: Path) -> None:
    import json

    content = {
        "images": scores.images,
        **scores.summary(),
        "classes": scores.rows(),
        "pictures": [{"name": p.name, "score": p.score} for p in scores.pictures],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _write(
    scores: "Scores",
    segmenter: "Segmenter",
    source: "ExampleSource",
    output: Path,
    worst: int,
    tile: "Tile | None",
) -> None:
    """Scores, the confusion of classes, and the pictures with the lowest scores, worst first."""
    from model.evaluation.pictures import comparison, confusion_picture

    (output / "worst").mkdir(parents=True, exist_ok=True)
    _write_json(scores, output / "scores.json")
    confusion_picture(scores.confusion, scores.class_names).save(output / "confusion.png")
    lowest = sorted(scores.pictures, key=lambda picture: picture.score)[:worst]
    for rank, picture in enumerate(lowest, 1):
        example = source[picture.index]
        answer = segmenter.segment(example.image, tile=tile)
        page = comparison(example, answer, segmenter.artifact.manifest.taxonomy)
        stem = Path(picture.name).stem.replace(" ", "_")
        page.save(output / "worst" / f"{rank:02}_{picture.score:.3f}_{stem}.jpg", quality=90)
    print(f"pictures and scores: {output}")
