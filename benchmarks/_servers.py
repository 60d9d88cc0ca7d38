"""Servers as processes that can be stopped and continued, so that one runs at a time."""

import base64
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from model.artifact import Artifact

_START_S = 300.0
_IDLE_S = 0.1  # of processor time in a second
_QUIET = {"TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}


@dataclass(frozen=True)
class Server:
    """One server that was started.

    Attributes:
        url: where pictures go.
        as_json: whether they go as base64 in JSON instead of as they are.
        process: leads a process group of its own.
        ready_s: from the start of the process to its first sign of readiness.
    """

    url: str
    as_json: bool
    process: subprocess.Popen[bytes]
    ready_s: float

    def pause(self) -> None:
        """Stop all its processes where they are."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def settle(self) -> None:
        """Wait until it no longer works on its own, on a second graph for one."""
        ends_s = time.perf_counter() + _START_S
        before_s = -math.inf
        while self.cpu_s() - before_s > _IDLE_S and time.perf_counter() < ends_s:
            before_s = self.cpu_s()
            time.sleep(1)

    def go_on(self) -> None:
        """Let them run again."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Ask it to finish, and kill what is left of its group."""
        self.go_on()
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, picture: bytes) -> float:
        """Seconds of one request, whose answer must be good."""
        body: bytes | str = picture
        if self.as_json:
            body = json.dumps({"image": base64.b64encode(picture).decode()})
        headers = {"Content-Type": "application/json" if self.as_json else "image/jpeg"}
        started_s = time.perf_counter()
        httpx.post(self.url, content=body, headers=headers, timeout=120).raise_for_status()
        return time.perf_counter() - started_s

    def memory_mb(self) -> float:
        """Resident memory of its processes now; what they share is split among them (PSS)."""
        return self._sum_mb("smaps_rollup", "Pss:")

    def peak_mb(self) -> float:
        """The sum of each process's highest resident memory so far."""
        return self._sum_mb("status", "VmHWM:")

    def files(self) -> int:
        """Open file descriptors of its processes now."""
        return sum(len(list((folder / "fd").iterdir())) for folder, _ in self._processes())

    def threads(self) -> int:
        """Threads of its processes now."""
        return sum(int(fields[17]) for _, fields in self._processes())

    def cpu_s(self) -> float:
        """Processor time that its processes have used so far."""
        ticks = sum(int(fields[11]) + int(fields[12]) for _, fields in self._processes())
        return ticks / os.sysconf("SC_CLK_TCK")

    def _sum_mb(self, file: str, field: str) -> float:
        total_kb = 0
        for folder, _ in self._processes():
            with suppress(OSError, StopIteration):  # it ended meanwhile
                lines = (folder / file).read_text(encoding="utf-8").splitlines()
                total_kb += int(next(x for x in lines if x.startswith(field)).split()[1])
        return total_kb * 1024 / 1e6

    def _processes(self) -> Iterator[tuple[Path, list[str]]]:
        """Per process of the group, its folder and the fields of its `stat` behind the name."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    yield stat.parent, fields


def ours(folder: Path, **variables: str) -> Server:
    """`maskformer serve` on a model folder, as it comes.

    Args:
        folder: an artifact.
        variables: of its environment.
    """
    port = free_port()
    command = [sys.executable, "-m", "cli.main", "serve", f"--models=model={folder}"]
    command += ["--host=127.0.0.1", f"--port={port}", "--log-level=warning"]
    address = f"http://127.0.0.1:{port}"
    query = "/segment?mode=semantic&format=png"
    return _start(command, f"{address}{query}", f"{address}/readyz", False, variables)


def peer(framework: str, arithmetic: str, artifact: Artifact, huggingface: Path) -> Server:
    """One of `benchmarks._peers`."""
    port = free_port()
    graph = artifact.find("onnx")
    command = [sys.executable, "-m", "benchmarks._peers", framework, arithmetic]
    command += [str(huggingface), str(graph), str(port)]
    address = f"http://127.0.0.1:{port}"
    as_json = framework == "litserve"
    return _start(command, f"{address}/predict", f"{address}/health", as_json, _QUIET)


def free_port() -> int:
    """A port of the loopback interface that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(
    command: list[str], url: str, ready_url: str, as_json: bool, variables: Mapping[str, str]
) -> Server:
    started_s = time.perf_counter()
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, env={**os.environ, **variables}
    )
    while time.perf_counter() < started_s + _START_S:
        if process.poll() is not None:
            break
        try:
            if httpx.get(ready_url, timeout=5).status_code == 200:
                return Server(url, as_json, process, time.perf_counter() - started_s)
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"expected a ready server, got none from: {' '.join(command)}")
