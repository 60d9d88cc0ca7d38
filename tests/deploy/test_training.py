"""Training on several machines: the manifests by schema, the rest with processes of this one."""

import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.train import train as cli_train
from model.training.config import load_preset, override
from tests.deploy.ask import until
from tests.deploy.kubernetes import build, expect_valid, of_kind
from tests.deploy.programs import ROOT

TRAINING = ROOT / "deploy" / "training"
SCRIPT = TRAINING / "train.sh"

RESOURCES = build(TRAINING)
SETTINGS = of_kind(RESOURCES, "ConfigMap", "train-settings")["data"]
JOBSET = of_kind(RESOURCES, "JobSet")
(JOB,) = JOBSET["spec"]["replicatedJobs"]
POD = JOB["template"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_the_manifests_are_valid() -> None:
    for resource in RESOURCES:
        expect_valid(resource)
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "machine"}}
    expect_valid(job | JOB["template"])
    named = {(r["kind"], r["metadata"]["name"]) for r in RESOURCES}
    for volume in POD["volumes"]:
        if "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in named
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            assert ("PersistentVolumeClaim", claim) in named
    assert [entry["configMapRef"]["name"] for entry in CONTAINER["envFrom"]] == ["train-settings"]
    assert CONTAINER["image"] == "maskformer-serving:train"


def test_the_settings_fit_the_machines() -> None:
    work = JOB["template"]["spec"]
    assert int(SETTINGS["MACHINES"]) == work["completions"] == work["parallelism"]
    assert SETTINGS["PROCESSES"] == CONTAINER["resources"]["limits"]["nvidia.com/gpu"]
    names = (JOBSET["metadata"]["name"], JOB["name"], JOB["replicas"])
    assert names == ("train", "machine", 1)  # pod 0 of job 0, under the set's name
    assert SETTINGS["LEADER"].partition(":")[0] == "train-machine-0-0.train"
    mounts = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert f"/{SETTINGS['RUN'].split('/')[1]}" in mounts
    assert CONTAINER["command"] == ["sh", "/train/train.sh"]
    assert set(SETTINGS) <= set(re.findall(r"\$([A-Z_]+)", SCRIPT.read_text(encoding="utf-8")))


def test_the_preset_takes_its_overrides() -> None:
    words = iter(SETTINGS["OVERRIDES"].split())
    assignments = []
    for word in words:
        if word.startswith("--"):
            assert word[2:].replace("-", "_") in inspect.signature(cli_train).parameters
            next(words)
        else:
            assignments.append(word)
    preset = load_preset(SETTINGS["PRESET"])
    config = override(preset, assignments)
    processes = int(SETTINGS["MACHINES"]) * int(SETTINGS["PROCESSES"])
    assert config.batch * config.accumulate * processes == preset.batch  # the recipe's own step


# In place of `maskformer train PRESET`: the same loop and the same folder, a network of seconds.
# The first start of a machine with KILL ends as by the system's hand, in the middle of a step.
_TINY = """
import os, signal, sys
from pathlib import Path
from model.training.train import train
from tests.model.training.pictures import Rectangles, tiny_config

folder = Path(sys.argv[sys.argv.index("--output") + 1])
resume = "--resume" in sys.argv
with (folder.parent / "starts").open("a") as file:
    file.write(f"{os.environ['MACHINE']} {resume}\\n")

class Deadly(Rectangles):
    drawn = 0
    def __getitem__(self, index):
        self.drawn += 1
        if os.environ["KILL"] and not resume and self.drawn == 7:  # two a step
            if os.environ["KILL"] == "machine":
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)

train(tiny_config(steps=6), Deadly(), folder, resume=resume, log=lambda _: None)
"""
_PYTHON = """#!/bin/sh
if [ "$2" = cli.main ]; then shift 2; exec {python} {tiny} "$@"; fi
exec {python} "$@"
"""
_LIMIT_S = 400


class Machines:
    """Starts `train.sh` as several machines would, each with one process that trains.

    Args:
        folder: made, for the run and what stands in for `maskformer train`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        tiny, python = folder / "tiny.py", folder / "bin" / "python"
        python.parent.mkdir()
        tiny.write_text(_TINY, encoding="utf-8")
        python.write_text(_PYTHON.format(python=sys.executable, tiny=tiny), encoding="utf-8")
        python.chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._leader: tuple[str, int] = free.getsockname()
        self.folder = folder
        self._environment = os.environ | {
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "PRESET": "tiny",
            "OVERRIDES": "",
            "RUN": str(folder / "run"),
            "MACHINES": "2",
            "PROCESSES": "1",
            "LEADER": f"127.0.0.1:{self._leader[1]}",
            "MAX_RESTARTS": "1",
        }

    @contextmanager
    def start(self, name: str, kill: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """One machine; `kill`: "process" or "machine", what ends in its first start."""
        environment = self._environment | {"MACHINE": name, "KILL": kill}
        with (self.folder / "log").open("a") as log:
            command = ["sh", str(SCRIPT)]
            machine = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield machine
        finally:
            machine.kill()
            machine.wait()

    @contextmanager
    def both(self, first: str = "", other: str = "") -> Iterator[list[subprocess.Popen[bytes]]]:
        """The machine at which they meet, then another; each with what ends in it."""
        with self.start("first", first) as one:
            until(self._listens)
            with self.start("other", other) as two:
                yield [one, two]

    def _listens(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(self._leader) == 0

    def finish(self, machines: list[subprocess.Popen[bytes]]) -> None:
        """Wait until all end well."""
        codes = [machine.wait(_LIMIT_S) for machine in machines]
        assert set(codes) == {0}, (self.folder / "log").read_text(encoding="utf-8")

    def starts(self) -> list[str]:
        """Machine and whether it went on, of every process that trained."""
        return sorted((self.folder / "starts").read_text(encoding="utf-8").splitlines())

    def rows(self) -> dict[int, dict[str, Any]]:
        """What the run says of each step; of a step that was taken twice, the second time."""
        lines = (self.folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        kept = ("loss", "gradient_norm", "learning_rate")
        return {row["step"]: {n: row[n] for n in kept} for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """A run in which nothing ends."""
    machines = Machines(tmp_path_factory.mktemp("whole") / "run")
    with machines.both() as running:
        machines.finish(running)
    assert machines.starts() == ["first False", "other False"]
    return machines.rows()


TWO_STARTS = ["first False", "first True", "other False", "other True"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kill", [{"first": "process"}, {"other": "process"}], ids=["first", "other"]
)
def test_a_process_that_dies_costs_a_restart_and_no_step(
    tmp_path: Path, whole: dict[int, dict[str, Any]], kill: dict[str, str]
) -> None:
    machines = Machines(tmp_path / "killed")
    with machines.both(**kill) as running:
        machines.finish(running)
    assert machines.starts() == TWO_STARTS
    assert machines.rows() == whole


@pytest.mark.slow
def test_a_machine_that_dies_is_replaced_and_costs_no_step(
    tmp_path: Path, whole: dict[int, dict[str, Any]]
) -> None:
    """As the JobSet does it: a new pod for the lost one, for which the others wait."""
    machines = Machines(tmp_path / "killed")
    with machines.both(other="machine") as (first, other):
        assert other.wait(_LIMIT_S) == -signal.SIGKILL
        with machines.start("other") as new:
            machines.finish([first, new])
    assert machines.starts() == TWO_STARTS
    assert machines.rows() == whole


@pytest.mark.slow
def test_where_the_first_machine_dies_all_start_anew_and_no_step_is_lost(
    tmp_path: Path, whole: dict[int, dict[str, Any]]
) -> None:
    """As the JobSet does it: its failure policy starts every pod again."""
    machines = Machines(tmp_path / "killed")
    with machines.both(first="machine") as (first, other):
        assert first.wait(_LIMIT_S) == -signal.SIGKILL
        assert other.wait(_LIMIT_S) not in (0, -signal.SIGKILL)  # it gives up by itself
    with machines.both() as running:
        machines.finish(running)
    assert machines.starts() == TWO_STARTS
    assert machines.rows() == whole
