"""The manifests of bulk work: the pods by schema, the command by the command line itself."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app
from tests.deploy.kubernetes import build, expect_valid, of_kind
from tests.deploy.programs import ROOT

RESOURCES = build(ROOT / "deploy" / "bulk")
SETTINGS = of_kind(RESOURCES, "ConfigMap", "bulk-settings")["data"]
JOB = of_kind(RESOURCES, "RayJob")["spec"]
CLUSTER = JOB["rayClusterSpec"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]


def test_the_manifests_are_valid() -> None:
    for resource in RESOURCES:
        expect_valid(resource)
    head = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pod"}}
    for group in (CLUSTER["headGroupSpec"], WORKERS):
        pod = group["template"]["spec"]
        expect_valid(head | {"spec": {"template": {"spec": pod | {"restartPolicy": "Never"}}}})
        assert [c["image"] for c in pod["containers"]] == ["maskformer-serving:bulk"]


def test_the_settings_fit_the_cluster() -> None:
    sizes = {WORKERS["replicas"], WORKERS["minReplicas"], WORKERS["maxReplicas"]}
    assert sizes == {int(SETTINGS["WORKERS"])}
    (container,) = WORKERS["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["cpu"] == SETTINGS["WORKER_CPUS"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert SETTINGS["WORKER_GPUS"] == "0"
    pinned = re.findall(
        r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M
    )
    assert pinned == [CLUSTER["rayVersion"]]


def test_the_command_is_one_that_we_have(tmp_path: Path) -> None:
    shell, flag, program = shlex.split(JOB["entrypoint"])
    assert (shell, flag) == ("sh", "-c")
    for name, value in SETTINGS.items():
        program = program.replace(f'"${name}"', value)
    assert "$" not in program
    words = shlex.split(program)[2:]
    for setting, there in (("INPUT", tmp_path), ("OUTPUT", tmp_path / "out")):
        words[words.index(SETTINGS[setting])] = str(there)  # no picture there
    result = CliRunner().invoke(app, words)
    assert "expected pictures" in str(result.exception), result.output
