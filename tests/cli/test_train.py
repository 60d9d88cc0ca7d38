from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.train import train
from model.errors import InvalidParameterError

runner = CliRunner()
app = typer.Typer()
app.command()(train)


def test_help_lists_the_options() -> None:
    answer = runner.invoke(app, ["--help"])
    assert answer.exit_code == 0
    for option in ("--output", "--resume", "--steps", "--batch", "--finalize"):
        assert option in answer.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "expected a preset among"),
        (["scenes", "optimizer.lr=1"], "expected a key of the training settings"),
        (["scenes", "--steps", "0"], "steps"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    answer = runner.invoke(app, [*arguments, "--output", str(tmp_path / "run")])
    assert isinstance(answer.exception, InvalidParameterError)
    assert message in str(answer.exception)
    assert not (tmp_path / "run").exists()


def test_resuming_nothing_is_refused(tmp_path: Path) -> None:
    cache = f"data.cache_dir={tmp_path}"
    arguments = ["scenes", cache, "data.count=1", "--output", str(tmp_path), "--resume"]
    answer = runner.invoke(app, arguments)
    assert "expected a checkpoint" in str(answer.exception)
