"""`maskformer evaluate`: score a model on drawn scenes that it never saw."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from model.evaluation.evaluate import Scores


def evaluate(
    artifact: Annotated[Path, typer.Argument(help="Model folder.")],
    scenes: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 200,
    seed: Annotated[
        int, typer.Option(min=0, help="First scene; training uses seeds below 100000.")
    ] = 1_000_000,
    height_px: Annotated[int, typer.Option(min=32, help="Height of a scene.")] = 256,
    width_px: Annotated[int, typer.Option(min=32, help="Width of a scene.")] = 384,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, torch or auto.")] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the scores to this file.")
    ] = None,
) -> None:
    """Score ARTIFACT: semantic mIoU and panoptic quality, overall and per class."""
    import json

    from model.data.scene_dataset import SceneDataset
    from model.evaluation.evaluate import evaluate as score
    from model.inference.segmenter import Segmenter

    dataset = SceneDataset(seed, scenes, (height_px, width_px))
    with Segmenter.load(artifact, engine=engine) as segmenter:
        scores = score(segmenter, (dataset[index] for index in range(scenes)))
    print(table(scores))
    if json_file is not None:
        content = {"images": scores.images, **scores.summary(), "classes": scores.rows()}
        json_file.write_text(json.dumps(content, indent=1) + "\n")


def table(scores: "Scores") -> str:
    """The scores for people, in percent."""
    columns = ("IoU", "ACC", "PQ", "SQ", "RQ")
    width = max(len(name) for name in scores.class_names)
    lines = [" " * width + "".join(f"{name:>7}" for name in columns)]
    for row in scores.rows():
        cells = (row[name] for name in columns)
        numbers = (f"{c:7.1%}" if isinstance(c, float) else f"{'-':>7}" for c in cells)
        lines.append(f"{row['class']:<{width}}" + "".join(numbers).replace("%", " "))
    lines.append("")
    lines.append(
        f"{scores.images} pictures: "
        + ", ".join(f"{name} {value:.1%}" for name, value in scores.summary().items())
    )
    return "\n".join(lines)
