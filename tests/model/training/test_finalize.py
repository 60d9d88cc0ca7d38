from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from model.artifact import CARD, WEIGHTS, load_artifact
from model.data.example import Example
from model.errors import CheckpointError
from model.inference.segmenter import Segmenter
from model.network.load import read_weights
from model.training import finalize as finalize_module
from model.training.checkpoint import read_checkpoint, save_best
from model.training.finalize import finalize
from model.training.publish import rounded
from model.training.train import train
from tests.model.training.pictures import Rectangles, tiny_config


class Unseen(Rectangles):
    """Stands in for unseen scenes, whose classes the tiny network does not know."""

    def __getitem__(self, index: int) -> Example:
        return super().__getitem__(1000 + index)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    train(tiny_config(steps=2), Rectangles(), tmp_path / "run", log=lambda _: None)
    return tmp_path / "run"


def test_a_checkpoint_becomes_a_model_that_answers(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finalize_module, "open_part", lambda data, part, classes, n: Unseen(n))
    config = tiny_config(evaluation_scenes=2)
    lines: list[str] = []
    artifact = finalize(config, run_dir, tmp_path / "tiny", log=lines.append)
    assert load_artifact(artifact.folder).manifest == artifact.manifest
    assert artifact.find("onnx") and artifact.find("weights")
    assert {"scenes-unseen/PQ", "scenes-unseen/mIoU"} <= set(artifact.manifest.scores)
    assert artifact.manifest.licence == "Apache-2.0"
    assert any("mIoU" in line for line in lines)
    card = (artifact.folder / CARD).read_text(encoding="utf-8")
    assert "2 with 4 pictures" in card and "| red |" in card and "seeds 1000000 to 1000001" in card
    for name in ("curves.png", "failures.png"):
        assert f"({name})" in card
        with Image.open(artifact.folder / name) as picture:
            assert picture.width >= 300
    with Segmenter.load(artifact) as segmenter:
        answer = segmenter.segment(Rectangles()[0].image, mode="panoptic")
    assert answer.hw == (64, 96)


def test_the_average_is_taken_and_rounded(run_dir: Path) -> None:
    checkpoint = read_checkpoint(run_dir)
    weights = rounded(checkpoint["average"])
    for name, value in weights.items():
        assert value.is_contiguous()
        if value.is_floating_point():
            assert value.dtype == torch.float16
            torch.testing.assert_close(
                value.float(), checkpoint["average"][name], rtol=1e-3, atol=1e-6
            )


@pytest.mark.parametrize(("last", "step"), [(False, 1), (True, 2)])
def test_the_best_weights_are_taken_unless_the_last_are_asked_for(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: bool, step: int
) -> None:
    checkpoint = read_checkpoint(run_dir)
    best = {name: value / 2 for name, value in checkpoint["average"].items()}
    save_best(run_dir, best, 1, 0.5)
    monkeypatch.setattr(finalize_module, "open_part", lambda data, part, classes, n: Unseen(n))
    monkeypatch.setattr(finalize_module, "export_onnx", lambda artifact: artifact)
    monkeypatch.setattr(finalize_module.Segmenter, "load", partial(Segmenter.load, engine="torch"))
    config = tiny_config(evaluation_scenes=1)
    artifact = finalize(config, run_dir, tmp_path / "tiny", last=last, log=lambda _: None)
    taken = read_weights(artifact.folder / WEIGHTS)
    expected = rounded(checkpoint["average"] if last else best)
    assert all(torch.equal(taken[name], value) for name, value in expected.items())
    card = (artifact.folder / CARD).read_text(encoding="utf-8")
    assert f"| steps | {step} with {2 * step} pictures" in card
    assert ("the best-scored step of the run" in card) == (not last)
    assert "| started from | random initialisation |" in card


def test_a_checkpoint_of_another_network_is_refused(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finalize_module, "open_part", lambda data, part, classes, n: Unseen(n))
    config = tiny_config()
    decoder = config.architecture.transformer_decoder
    assert decoder is not None
    wider = decoder.model_copy(update={"queries": 7})
    architecture = config.architecture.model_copy(update={"transformer_decoder": wider})
    other = config.model_copy(update={"architecture": architecture})
    with pytest.raises(CheckpointError, match=r"query_embed.weight: expected shape"):
        finalize(other, run_dir, tmp_path / "tiny", log=lambda _: None)
    assert not (tmp_path / "tiny").exists()


def test_without_a_checkpoint_there_is_nothing_to_finish(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        finalize(tiny_config(), tmp_path, tmp_path / "tiny", log=lambda _: None)
