"""Complaints of pydantic in the project's own words."""

from pathlib import Path

import pytest

from model.artifact import load_artifact
from model.errors import ArtifactError, InvalidParameterError
from model.training.config import load_preset, override
from tests.fakes import fake_artifact


def test_a_wrong_value_is_told_as_expected_and_got() -> None:
    with pytest.raises(InvalidParameterError, match=r"^batch: expected .* equal to 1, got '0'$"):
        override(load_preset("scenes"), ["batch=0"])


def test_what_a_validator_of_ours_says_stands_as_it_is(tmp_path: Path) -> None:
    folder = fake_artifact(tmp_path / "model").folder
    manifest = folder / "artifact.json"
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace('"num_classes": 4', '"num_classes": 5'),
        encoding="utf-8",
    )
    with pytest.raises(
        ArtifactError, match=r"manifest: expected 5 classes in the taxonomy, got 4$"
    ):
        load_artifact(folder)
