"""`maskformer bench`: how fast a model is on this machine."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.errors import InvalidParameterError

if TYPE_CHECKING:
    from model.evaluation.speed import EngineSpeed, StageTime

# The picture that is drawn where none is given: its seed is of no bundled model's training.
_SEED, _HW = 2_000_005, (427, 640)


def bench(
    model: Annotated[str, typer.Argument(help="A bundled model's name, or a folder.")] = "scenes",
    pictures: Annotated[
        list[Path] | None, typer.Option("--input", help="A picture; may be repeated.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Time for each of the two tables.")] = 20,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the numbers to this file.")
    ] = None,
) -> None:
    """Time MODEL on every engine that works here, and say where a picture's time goes.

    Engines run in turn; numbers are medians. `alone`: one run, nothing beside it; `pictures/s`: as
    many runs at once as the engine has slots. Stages are those of one caller alone on the engine
    that serves by default. Without --input a drawn scene of 640x427 is the picture.
    """
    from app.loading import ModelSource, find_sources
    from app.settings import load_settings
    from model.artifact import load_artifact
    from model.evaluation.machine import describe_machine
    from model.evaluation.speed import load_engines, measure_engines, measure_stages
    from model.inference.segmenter import Segmenter

    source: ModelSource
    (source,) = find_sources(load_settings({"models": model}))
    artifact = load_artifact(source.location)
    encoded = [_read(path) for path in pictures] if pictures else [_draw()]
    machine = describe_machine()
    typer.echo(", ".join(f"{key} {value}" for key, value in machine.items()))

    with Segmenter.load(artifact) as segmenter:
        stages = measure_stages(segmenter, encoded, seconds)
        engines, reasons = load_engines(artifact)
        speeds = measure_engines(engines, segmenter.prepare(encoded[0]), seconds)
    for engine in engines:
        engine.close()
    typer.echo(engine_table(speeds))
    for reason in reasons:
        typer.echo(f"not measured: {reason}")
    typer.echo("\n" + stage_table(stages))
    if json_file is not None:
        _write(json_file, machine, artifact.hash, speeds, stages)


def engine_table(speeds: Sequence["EngineSpeed"]) -> str:
    """One line per engine and precision."""
    lines = [f"{'engine':<13}{'precision':<11}{'device':<9}{'slots':>5}{'alone, ms':>11}"]
    lines[0] += f"{'pictures/s':>12}"
    lines += [
        f"{s.engine:<13}{s.precision:<11}{s.device:<9}{s.slots:>5}{s.alone_ms:>11.1f}"
        f"{s.pictures_per_s:>12.2f}"
        for s in speeds
    ]
    return "\n".join(lines)


def stage_table(stages: Sequence["StageTime"]) -> str:
    """One line per stage."""
    return "\n".join(
        [f"{'stage':<28}{'ms':>8}", *(f"{stage.stage:<28}{stage.ms:>8.1f}" for stage in stages)]
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidParameterError(
            f"expected a picture for --input, got {path}: {error.strerror}"
        ) from None


def _draw() -> bytes:
    from PIL import Image

    from model.data.scenes import draw_scene

    buffer = io.BytesIO()
    Image.fromarray(draw_scene(_SEED, *_HW).image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _write(
    path: Path,
    machine: Mapping[str, str],
    model_hash: str,
    speeds: Sequence["EngineSpeed"],
    stages: Sequence["StageTime"],
) -> None:
    import json

    content = {
        "machine": dict(machine),
        "model_hash": model_hash,
        "engines": [vars(speed) for speed in speeds],
        "stages": [vars(stage) for stage in stages],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
