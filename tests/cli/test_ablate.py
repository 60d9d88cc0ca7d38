from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.ablate import ablate
from model.errors import InvalidParameterError
from model.training.ablations import report, run
from model.training.ablations.run import Result
from model.training.ablations.studies import find_study
from tests.model.training.ablations.arms import results

runner = CliRunner()
app = typer.Typer()
app.command()(ablate)
PAGE = "before\n<!-- ablation matching -->\n<!-- end -->\nafter\n"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the study would be run with; nothing is trained or drawn."""
    seen: dict[str, object] = {}
    plots: list[Path] = []

    def pretend(study: object, output: Path, **options: object) -> Iterator[Result]:
        output.mkdir(parents=True)
        seen.update(options, plots=plots)
        yield from results(find_study("matching"))

    monkeypatch.setattr(run, "run_study", pretend)
    monkeypatch.setattr(report, "plot", lambda *call: plots.append(call[2]))
    return seen


def test_table_plot_and_file_are_written(tmp_path: Path, told: dict[str, object]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    output = tmp_path / "out"
    arguments = ["matching", "--output", str(output), "--seeds", "2", "--page", str(page)]
    answer = runner.invoke(app, arguments)
    assert answer.exit_code == 0, answer.exception
    assert "| MaskFormer | 1.23 M |" in answer.output
    text = page.read_text(encoding="utf-8")
    assert "| MaskFormer | 1.23 M |" in text and "after" in text
    assert "![matching](images/ablation_matching.png)" in text
    assert (output / "matching.json").is_file()
    assert told["seeds"] == 2 and told["steps"] is None
    assert told["plots"] == [output / "matching.png", tmp_path / "images" / "ablation_matching.png"]


def test_what_cannot_be_done_is_refused_before_anything_is_trained(
    tmp_path: Path, told: dict[str, object]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here", encoding="utf-8")
    for arguments, message in (
        (["depth"], "expected a study among"),
        (["matching", "--page", str(page)], "expected a page with a line"),
    ):
        answer = runner.invoke(app, arguments)
        assert isinstance(answer.exception, InvalidParameterError)
        assert message in str(answer.exception)
    assert runner.invoke(app, ["matching", "--page", str(tmp_path / "none.md")]).exit_code == 2
    assert not told
