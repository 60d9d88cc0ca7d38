"""`maskformer train`: run a preset, from the first step to the finished artifact."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    preset: Annotated[str, typer.Argument(help="Name of a preset in model/training/presets.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings to replace, as key=value; keys may be dotted."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Your own data set, whose classes replace the preset's; see `data check`."
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/train"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from its checkpoint.")] = False,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps of the whole run.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures per forward pass.")] = None,
    finalize: Annotated[
        Path | None,
        typer.Option(help="Train nothing; make an artifact of this run folder's checkpoint."),
    ] = None,
    artifact: Annotated[
        Path | None, typer.Option(help="Where the artifact goes; default: OUTPUT/artifact.")
    ] = None,
) -> None:
    """Train PRESET and turn the result into a model folder that the service loads."""
    from model.data.sources import open_part
    from model.training.config import load_preset, override, with_data
    from model.training.distributed import join_processes
    from model.training.train import open_source
    from model.training.train import train as run_training

    short = {"steps": steps, "batch": batch}
    assignments = [f"{key}={value}" for key, value in short.items() if value is not None]
    config = load_preset(preset)
    if data is not None:
        from model.data.detect import detect_data

        config = with_data(config, *detect_data(data))
    config = override(config, [*(overrides or []), *assignments])
    run_dir = finalize or output
    if finalize is None:
        open_part(config.data, "val", config.taxonomy)  # missing files shall not show at the end
        run_training(config, open_source(config), run_dir, resume=resume, log=_print_line)
        if join_processes()[0] > 0:
            return
    from model.training.finalize import finalize as make_artifact

    make_artifact(config, run_dir, artifact or run_dir / "artifact", log=_print_line)


def _print_line(line: str) -> None:
    print(line, flush=True)
