"""`maskformer ablate`: one of the paper's ablations, from the first step to table and plot."""

from pathlib import Path
from typing import Annotated

import typer


def ablate(
    study: Annotated[
        str, typer.Argument(help="formulation, matching, queries or layers; see docs/ablations.md.")
    ],
    output: Annotated[
        Path, typer.Option(help="Folder of runs and results; studies share equal runs in it.")
    ] = Path("runs/ablations"),
    seeds: Annotated[int, typer.Option(min=1, help="Runs per arm.")] = 1,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps of each run, instead of the study's.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Also write the table into this page, and the plot to images/ beside it.",
        ),
    ] = None,
) -> None:
    """Train and score the arms of STUDY on drawn scenes; started again, it goes on where it was.

    Writes OUTPUT/STUDY.json and OUTPUT/STUDY.png. Small: about a minute of one core per arm.
    """
    from model.training.ablations.report import fill, plot, table, write_results
    from model.training.ablations.run import run_study
    from model.training.ablations.studies import find_study

    chosen = find_study(study)
    if page is not None:
        fill(page.read_text(encoding="utf-8"), study, "")  # refused now rather than after an hour
    results = []
    for result in run_study(chosen, output, seeds=seeds, steps=steps, log=_print_line):
        results.append(result)
        write_results(chosen, results, output)
    _print_line("\n" + table(chosen, results))
    plot(chosen, results, output / f"{study}.png")
    if page is not None:
        picture = Path("images") / f"ablation_{study}.png"
        plot(chosen, results, page.parent / picture)
        content = f"{table(chosen, results)}\n\n![{study}]({picture})"
        page.write_text(fill(page.read_text(encoding="utf-8"), study, content), encoding="utf-8")


def _print_line(line: str) -> None:
    print(line, flush=True)
