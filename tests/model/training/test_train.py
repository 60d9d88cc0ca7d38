import json
from pathlib import Path

import pytest
import torch

from model.data.example import Example
from model.errors import CheckpointError, TrainingError
from model.training import train as train_module
from model.training.checkpoint import CHECKPOINT, read_checkpoint, save_checkpoint
from model.training.criterion import CriterionConfig, Losses
from model.training.optimizer import OptimizerConfig
from model.training.publish import publish
from model.training.train import train
from tests.model.training.pictures import Rectangles, tiny_config


def rows(run_dir: Path) -> dict[int, dict[str, object]]:
    """What `metrics.jsonl` says of each step, without times."""
    lines = [
        json.loads(line)
        for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    measured = ("seconds", "pictures_per_s", "peak_memory_mb")
    training = [row for row in lines if "loss" in row]
    return {row["step"]: {k: v for k, v in row.items() if k not in measured} for row in training}


class Killed(Exception):
    pass


def kill_at(step: int) -> object:
    """A log function that ends the run as a kill would: after that step, before its checkpoint."""

    def log(line: str) -> None:
        if line.startswith(f"step {step}/"):
            raise Killed

    return log


def test_a_killed_and_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    config, source = tiny_config(), Rectangles(5)  # 16 pictures: more than three epochs
    whole = train(config, source, tmp_path / "whole", log=lambda _: None)
    with pytest.raises(Killed):
        train(config, source, tmp_path / "killed", log=kill_at(5))  # type: ignore[arg-type]
    resumed = train(config, source, tmp_path / "killed", resume=True, log=lambda _: None)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
        assert torch.equal(whole.average[name], resumed.average[name]), name


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    for workers in (0, 2):
        config = tiny_config(workers=workers, steps=3)
        train(config, Rectangles(), tmp_path / str(workers), log=lambda _: None)
    assert rows(tmp_path / "0") == rows(tmp_path / "2")


@pytest.mark.parametrize(
    "criterion",
    [{"pixels": "all"}, {"pixels": "sampled"}, {"pixels": "uncertain", "points": 256}],
    ids=lambda criterion: criterion["pixels"],
)
def test_losses_fall(tmp_path: Path, criterion: dict[str, object]) -> None:
    config = tiny_config(
        steps=40, criterion=CriterionConfig.model_validate(criterion), checkpoint_every_s=1e9
    )
    train(config, Rectangles(4), tmp_path, log=lambda _: None)
    losses = [row["loss"] for row in rows(tmp_path).values()]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])  # type: ignore[arg-type, operator]


def test_accumulated_batches_are_one_step(tmp_path: Path) -> None:
    state = train(tiny_config(steps=2, accumulate=3), Rectangles(), tmp_path, log=lambda _: None)
    assert state.step == 2
    assert list(rows(tmp_path)) == [1, 2]


def test_bfloat16_trains(tmp_path: Path) -> None:
    config = tiny_config(steps=2, precision="bfloat16")
    state = train(config, Rectangles(), tmp_path, log=lambda _: None)
    values = state.network.state_dict().values()
    assert all(v.dtype == torch.float32 for v in values if v.is_floating_point())


def test_pictures_without_any_segment_train(tmp_path: Path) -> None:
    class Empty(Rectangles):
        def __getitem__(self, index: int) -> Example:
            example = super().__getitem__(index)
            return Example(example.image, example.panoptic * 0, ())

    train(tiny_config(steps=2), Empty(), tmp_path, log=lambda _: None)


def test_a_loss_that_is_not_finite_stops_and_names_loss_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Losses:
        nan = torch.tensor([float("nan")], requires_grad=True)
        return Losses(nan.sum(), {"class": torch.ones(1), "mask": nan.detach()})

    monkeypatch.setattr(train_module, "compute_losses", broken)
    with pytest.raises(TrainingError, match=r"finite mask loss at step 0.*picture \d"):
        train(tiny_config(), Rectangles(), tmp_path, log=lambda _: None)


def test_a_folder_with_a_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    train(tiny_config(steps=1), Rectangles(), tmp_path, log=lambda _: None)
    with pytest.raises(TrainingError, match="resume"):
        train(tiny_config(steps=1), Rectangles(), tmp_path, log=lambda _: None)


def test_resume_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        train(tiny_config(), Rectangles(), tmp_path / "run", resume=True, log=lambda _: None)
    assert not (tmp_path / "run").exists()


def test_resume_of_another_network_is_refused(tmp_path: Path) -> None:
    config = tiny_config(steps=1)
    train(config, Rectangles(), tmp_path, log=lambda _: None)
    decoder = config.architecture.transformer_decoder
    assert decoder is not None
    wider = config.architecture.model_copy(
        update={"transformer_decoder": decoder.model_copy(update={"queries": 7})}
    )
    with pytest.raises(CheckpointError, match="expected a checkpoint of this network"):
        train(
            config.model_copy(update={"architecture": wider}),
            Rectangles(),
            tmp_path,
            resume=True,
            log=lambda _: None,
        )


def test_the_previous_checkpoint_survives_a_failed_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = train(tiny_config(steps=1), Rectangles(), tmp_path, log=lambda _: None)
    before = (tmp_path / CHECKPOINT).read_bytes()

    def disk_full(_: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    state.step = 2
    with pytest.raises(TrainingError, match="no space left"):
        save_checkpoint(tmp_path, state)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        CHECKPOINT,
        "config.json",
        "metrics.jsonl",
        "versions.json",
    ]


def test_a_broken_checkpoint_is_said_to_be_broken(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="readable"):
        read_checkpoint(tmp_path)


def test_a_row_says_what_a_run_costs_and_which_queries_it_uses(tmp_path: Path) -> None:
    lines: list[str] = []
    train(tiny_config(steps=2, log_every_steps=2), Rectangles(), tmp_path, log=lines.append)
    (row,) = [
        json.loads(line)
        for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert row["pictures_per_s"] > 0 and row["peak_memory_mb"] > 50
    assert len(row["query_matches"]) == 6 and 4 < sum(row["query_matches"]) <= 4 * 3
    assert {name: len(values) for name, values in row["losses"].items()} == {
        "class": 2,
        "mask": 2,
        "dice": 2,
    }
    assert all(word in lines[0] for word in ("step 2/2", "pictures/s", " MB ", "ETA 0 min"))


def test_a_compiled_network_is_the_one_that_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []

    def compile_(function: object) -> object:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    state = train(tiny_config(steps=1, compile=True), Rectangles(), tmp_path, log=lambda _: None)
    assert compiled == [state.network.forward_all_layers]


def test_shares_of_one_process_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="start them with torchrun"):
        train(tiny_config(parallel="fsdp"), Rectangles(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_to_start_from(tmp_path: Path) -> None:
    config = tiny_config(steps=1)
    first = train(config, Rectangles(), tmp_path / "first", log=lambda _: None)
    publish(config, first.network.state_dict(), 1, tmp_path / "model")
    changes = {"init": str(tmp_path / "model"), "replace": ("class_head",)}
    lines: list[str] = []
    next_config = config.model_copy(
        update={**changes, "optimizer": OptimizerConfig(warmup_steps=9)}
    )
    state = train(next_config, Rectangles(), tmp_path / "second", log=lines.append)
    assert lines[0].endswith("model; random: class_head")
    for name, value in state.network.state_dict().items():
        if not name.startswith("transformer_decoder.class_head") and "running" not in name:
            torch.testing.assert_close(
                value, first.network.state_dict()[name].half().float(), atol=1e-4, rtol=0
            )


def test_weights_to_start_from_that_do_not_fit_leave_no_trace(tmp_path: Path) -> None:
    config = tiny_config(backbone_weights=str(tmp_path / "absent.pth"))
    with pytest.raises(CheckpointError, match=r"absent\.pth, got no such file"):
        train(config, Rectangles(), tmp_path / "run", log=lambda _: None)
    assert not (tmp_path / "run").exists()
