"""What is asked of the hub, without a hub."""

import huggingface_hub
import pytest

from model.checkpoints.hub import fetch, is_hub_id
from model.checkpoints.import_checkpoint import read_foreign
from model.errors import CheckpointError
from tests.model.checkpoints.huggingface_samples import write_folder
from tests.model.checkpoints.samples import ARCHITECTURES


def test_what_reads_as_an_id():
    assert is_hub_id("facebook/maskformer-swin-tiny-ade")
    for path in ("model", "./a/b", "a/b/c", "/a/b", "../b", "a/", "~/b"):
        assert not is_hub_id(path)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A hub whose every model is one folder; gives the list of questions."""
    folder = write_folder(tmp_path / "snapshot", ARCHITECTURES["swin"])
    questions = []

    def snapshot_download(repo_id, revision=None, allow_patterns=()):
        questions.append((repo_id, revision, tuple(allow_patterns)))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return folder, questions


def test_weights_without_pickle_are_preferred(asked):
    folder, questions = asked
    assert fetch("owner/name", "v1") == folder
    [(repo, revision, patterns)] = questions
    assert (repo, revision) == ("owner/name", "v1")
    assert not any("bin" in pattern for pattern in patterns)
    (folder / "model.safetensors").unlink()
    fetch("owner/name")
    assert any("bin" in pattern for pattern in questions[-1][2])


def test_the_id_is_the_source(asked):
    foreign = read_foreign("facebook/maskformer-swin-tiny-ade")
    assert foreign.hub_name == "maskformer-swin-tiny-ade"
    assert "facebook/maskformer-swin-tiny-ade" in foreign.source
    assert foreign.licence == "CC BY-NC 4.0"


def test_failure_is_one_sentence(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(
        CheckpointError, match="owner/name from the Hugging Face hub, got no network"
    ):
        fetch("owner/name")
