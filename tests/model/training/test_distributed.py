import json
import os
import subprocess
import sys
from pathlib import Path

_RUN = """
import sys
from pathlib import Path
from model.training.train import train
from tests.model.training.pictures import Rectangles, tiny_config
config = tiny_config(steps=3, batch=int(sys.argv[2]))
train(config, Rectangles(), Path(sys.argv[1]), log=lambda _: None)
"""


def run(folder: Path, processes: int, batch: int) -> list[dict[str, float]]:
    script = folder.parent / "run.py"
    script.write_text(_RUN)
    command = [sys.executable, str(script), str(folder), str(batch)]
    if processes > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *torchrun, *command[1:]]
    root = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, timeout=300, capture_output=True)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_train_one_network_on_twice_the_pictures(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one", 1, 2), run(tmp_path / "two", 2, 2)
    assert [row["step"] for row in one] == [row["step"] for row in two] == [1, 2, 3]
    assert one[0]["loss"] != two[0]["gradient_norm"]
    assert all(row["loss"] > 0 for row in two)
    assert one[0]["gradient_norm"] != two[0]["gradient_norm"]  # the gradients are means of both
