import json
from pathlib import Path

import pytest
import torch

from model.errors import TrainingError
from model.network.maskformer import build_network
from model.training import best as best_module
from model.training.checkpoint import BEST, read_checkpoint
from model.training.publish import publish, rounded
from model.training.train import train
from model.training.validate import Spread, Validation, validate
from tests.model.training.pictures import Rectangles, tiny_config
from tests.model.training.test_train import Killed, kill_at, rows


def scores_of(run_dir: Path) -> list[dict[str, object]]:
    lines = [
        json.loads(line)
        for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [row for row in lines if "scores" in row]


def test_pictures_are_spread_over_the_source() -> None:
    some = Spread(Rectangles(10), 4)
    assert len(some) == 4
    assert [some.name(i) for i in range(4)] == [f"picture {i}" for i in (0, 2, 5, 7)]
    assert len(Spread(Rectangles(3), 100)) == 3


def test_scores_are_those_of_the_weights_that_would_be_published(tmp_path: Path) -> None:
    config = tiny_config(evaluate_pictures=2)
    weights = build_network(config.architecture).state_dict()
    result = validate(config, weights, 1, Rectangles(4), previews=1)
    assert result.main == result.scores["PQ"]
    (preview,) = result.previews
    assert preview.ndim == 3 and preview.shape[2] == 3
    again = validate(config, rounded(weights), 1, Rectangles(4))
    assert again.scores == result.scores and again.previews == ()


def test_the_best_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mains = iter([0.2, 0.5, 0.3, 0.4])
    seen: list[int] = []

    def scored(config: object, weights: object, step: int, *_: object) -> Validation:
        seen.append(step)
        return Validation({"mIoU": 0.0}, next(mains), ())

    monkeypatch.setattr(best_module, "validate", scored)
    config = tiny_config(steps=7, evaluate_every_steps=2)
    train(config, Rectangles(), tmp_path, unseen=Rectangles(), log=lambda _: None)
    assert seen == [2, 4, 6, 7]
    best = read_checkpoint(tmp_path, BEST)
    assert (best["step"], best["score"]) == (4, 0.5)
    assert [row["best"] for row in scores_of(tmp_path)] == [True, True, False, False]


def test_scoring_changes_nothing_and_a_resumed_run_scores_alike(tmp_path: Path) -> None:
    source = Rectangles(5)
    plain = tiny_config(steps=6)
    scored = tiny_config(steps=6, evaluate_every_steps=2, evaluate_pictures=1)
    train(plain, source, tmp_path / "plain", log=lambda _: None)
    train(scored, source, tmp_path / "whole", unseen=source, log=lambda _: None)
    assert rows(tmp_path / "whole") == rows(tmp_path / "plain")
    with pytest.raises(Killed):
        train(scored, source, tmp_path / "killed", unseen=source, log=kill_at(5))  # type: ignore[arg-type]
    train(scored, source, tmp_path / "killed", unseen=source, resume=True, log=lambda _: None)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    whole, killed = (read_checkpoint(tmp_path / name, BEST) for name in ("whole", "killed"))
    assert (killed["step"], killed["score"]) == (whole["step"], whole["score"])
    for name, value in whole["network"].items():
        assert torch.equal(killed["network"][name], value)


def test_scoring_needs_pictures(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected unseen pictures"):
        train(tiny_config(evaluate_every_steps=2), Rectangles(), tmp_path, log=lambda _: None)


def test_a_published_folder_tells_where_its_weights_come_from(tmp_path: Path) -> None:
    config = tiny_config(backbone_weights="somewhere/R-50.pkl")
    weights = build_network(config.architecture).state_dict()
    artifact = publish(config, weights, 9, tmp_path)
    assert artifact.manifest.source == (
        "trained from the backbone R-50.pkl on rectangles, preset tiny, 9 steps"
    )
