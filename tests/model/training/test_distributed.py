import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.errors import TrainingError
from model.network.maskformer import build_network
from model.training import distributed
from model.training.checkpoint import BEST, read_checkpoint
from tests.model.training.pictures import tiny_config

_RUN = """
import os, sys
from pathlib import Path
from model.training.train import train
from tests.model.training.pictures import Rectangles, tiny_config

def log(line):
    if line.startswith(sys.argv[3]):
        os._exit(1)  # as a kill would

folder = Path(sys.argv[1])
config = tiny_config(steps=3, parallel=sys.argv[2], evaluate_every_steps=3, evaluate_pictures=1)
resume = (folder / "checkpoint.pt").exists()
train(config, Rectangles(), folder, unseen=Rectangles(1), resume=resume, log=log)
"""


def run(
    folder: Path, processes: int, parallel: str = "ddp", kill_at: str = "never"
) -> list[dict[str, Any]]:
    script = folder.parent / "run.py"
    script.write_text(_RUN, encoding="utf-8")
    command = [sys.executable, str(script), str(folder), parallel, kill_at]
    if processes > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *torchrun, *command[1:]]
    root = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, timeout=300, capture_output=True, encoding="utf-8"
    )
    assert (done.returncode == 0) == (kill_at == "never"), done.stderr
    return [
        json.loads(line)
        for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]


@pytest.mark.parametrize("others", [[4, 4], [4, 0]])
def test_processes_that_read_different_checkpoints_do_not_begin(
    monkeypatch: pytest.MonkeyPatch, others: list[int]
) -> None:
    def gather(found: list[int], step: int) -> None:
        found[:] = others

    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "all_gather_object", gather)
    if others == [4, 4]:
        distributed.expect_same_step(4)
        return
    with pytest.raises(TrainingError, match=r"one checkpoint in all processes, got .* \[4, 0\]"):
        distributed.expect_same_step(4)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(tmp_path_factory.mktemp("ddp") / "two", 2)


def test_two_processes_train_one_network_on_twice_the_pictures(
    tmp_path: Path, two: list[dict[str, Any]]
) -> None:
    one = run(tmp_path / "one", 1)
    assert [row["step"] for row in one] == [row["step"] for row in two] == [1, 2, 3, 3]
    assert one[0]["learning_rate"] == two[0]["learning_rate"]
    assert one[0]["gradient_norm"] != two[0]["gradient_norm"]  # the gradients are means of both
    assert "scores" in two[3]


def test_shares_of_a_network_train_and_resume_as_the_whole_does(
    tmp_path: Path, two: list[dict[str, Any]]
) -> None:
    run(tmp_path / "fsdp", 2, "fsdp", "step 2/")
    assert read_checkpoint(tmp_path / "fsdp")["step"] == 1
    rows = {row["step"]: row for row in run(tmp_path / "fsdp", 2, "fsdp") if "loss" in row}
    for expected in two[:3]:
        actual = rows[expected["step"]]
        for name in ("loss", "learning_rate", "gradient_norm"):
            assert actual[name] == pytest.approx(expected[name], rel=1e-4), name
    network = build_network(tiny_config().architecture)
    for name in ("checkpoint.pt", BEST):  # whole weights, finished as any other's
        checkpoint = read_checkpoint(tmp_path / "fsdp", name)
        network.load_state_dict(checkpoint["average"] or checkpoint["network"])
