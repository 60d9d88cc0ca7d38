import json
from pathlib import Path

import pytest
import torch

from model.errors import CheckpointError, TrainingError
from model.training.run_folder import (
    CONFIG,
    VERSIONS,
    expect_no_run,
    read_run_config,
    versions,
    write_run_folder,
)
from tests.model.training.pictures import tiny_config


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    config = tiny_config(seed=7, init="x", replace=("class_head",))
    write_run_folder(config, tmp_path / "new" / "run")
    assert read_run_config(tmp_path / "new" / "run") == config


def test_every_start_adds_its_versions(tmp_path: Path) -> None:
    for _ in range(2):
        write_run_folder(tiny_config(), tmp_path)
    starts = json.loads((tmp_path / VERSIONS).read_text(encoding="utf-8"))
    assert [start.keys() for start in starts] == [versions().keys()] * 2
    assert {"python", "torch", "numpy", "commit", "cpu", "gpu"} <= starts[0].keys()
    assert starts[0]["torch"].startswith(torch.__version__.partition("+")[0])


@pytest.mark.parametrize("name", ["checkpoint.pt", "best.pt"])
def test_a_folder_with_weights_is_no_new_one(tmp_path: Path, name: str) -> None:
    expect_no_run(tmp_path)
    (tmp_path / name).touch()
    with pytest.raises(TrainingError, match=f"expected a new run folder or `resume`, got {name}"):
        expect_no_run(tmp_path)


def test_settings_that_are_missing_or_misspelt_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a run with a checkpoint"):
        read_run_config(tmp_path)
    write_run_folder(tiny_config(), tmp_path)
    text = (tmp_path / CONFIG).read_text(encoding="utf-8")
    (tmp_path / CONFIG).write_text(text.replace('"steps"', '"stepz"'), encoding="utf-8")
    with pytest.raises(CheckpointError, match="stepz"):
        read_run_config(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="expected to write to the run folder"):
        write_run_folder(tiny_config(), tmp_path / "file" / "run")
