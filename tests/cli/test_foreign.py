import importlib.util
from pathlib import Path
from typing import Any

import pytest

from app.loading import find_sources
from app.settings import Settings
from cli import foreign
from cli.foreign import import_foreign
from model.errors import CheckpointError
from tests.fakes import fake_artifact


def settings(tmp_path: Path, *models: str) -> Settings:
    return Settings(models=models, weights_dir=tmp_path / "weights", cache_dir=tmp_path / "cache")


def test_model_folders_stay_where_they_are(tmp_path: Path) -> None:
    folder = fake_artifact(tmp_path / "mine").folder
    assert import_foreign(settings(tmp_path, str(folder))).models == (f"mine={folder}",)


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was imported; each import only writes a model folder."""
    calls: list[str] = []

    def fake_import(location: str, folder: Path) -> None:
        calls.append(location)
        fake_artifact(folder)

    monkeypatch.setattr(foreign, "_import", fake_import)
    return calls


def test_a_foreign_model_is_imported_once(tmp_path: Path, imported: list[str]) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "old.pkl").write_bytes(b"")
    entries = (f"hf={tmp_path / 'hf'}", str(tmp_path / "old.pkl"), "owner/model")
    first = import_foreign(settings(tmp_path, *entries))
    assert imported == [str(tmp_path / "hf"), str(tmp_path / "old.pkl"), "owner/model"]
    assert import_foreign(settings(tmp_path, *entries)) == first
    assert len(imported) == 3
    for source in find_sources(first):
        assert Path(source.location).parent == tmp_path / "cache/models"
        assert (Path(source.location) / "artifact.json").is_file()
    (tmp_path / "old.pkl").write_bytes(b"changed")
    import_foreign(settings(tmp_path, *entries))
    assert len(imported) == 4


def test_a_broken_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_location: str, folder: Path) -> None:
        folder.mkdir()
        raise CheckpointError("expected weights, got none")

    monkeypatch.setattr(foreign, "_import", broken)
    with pytest.raises(CheckpointError):
        import_foreign(settings(tmp_path, "owner/model"))
    assert list((tmp_path / "cache/models").iterdir()) == []


def test_without_torch_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: Any = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else found(name)
    )
    (tmp_path / "old.pkl").write_bytes(b"")
    for entry, seen in (("owner/model", "no path here"), (str(tmp_path / "old.pkl"), "old.pkl,")):
        with pytest.raises(
            CheckpointError, match=r"pip install 'maskformer-serving\[train\]'"
        ) as told:
            import_foreign(settings(tmp_path, entry))
        assert seen in str(told.value)
