"""Several real front processes around a real engine process, and what is left when one dies."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest

from tests.fakes import to_bytes

SOON_S = 60.0
PICTURE = to_bytes(np.zeros((32, 32, 3), np.uint8))

PROGRAM = """
    import sys
    from app.settings import load_settings
    from cli.fronts import run_fronts
    from cli.serve import bind, start_logging
    from tests.cli.slow_model import load

    flags = {"host": "127.0.0.1", "port": "0", "front_processes": "2", "weights_dir": sys.argv[1]}
    settings = load_settings(flags)
    start_logging(settings)
    run_fronts(settings, load, bind(settings.host, settings.port))
"""


class Server:
    """The supervisor, and what can be seen of its processes from outside."""

    def __init__(self, folder: Path) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("MASKFORMER_")}
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environ | {"PYTHONPATH": str(Path.cwd())},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.endswith("serves fake (fake, CPU, float32)\n"), self.log.read_text(
            encoding="utf-8"
        )
        self.url = line.split()[1]

    def pid(self, name: str) -> int:
        """Of the newest process of that name."""
        pids = re.findall(rf"the {name} process is (\d+)", self.log.read_text(encoding="utf-8"))
        return int(pids[-1])

    def arenas(self) -> int:
        """How many fronts' memory the engine process holds."""
        maps = Path(f"/proc/{self.pid('engine')}/maps").read_text(encoding="utf-8")
        return maps.count("memfd:maskformer")

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body; each request is a connection of its own, so any front may get it."""
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "image/png"})
        try:
            with urllib.request.urlopen(request, timeout=SOON_S) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def segment(self) -> tuple[int, bytes]:
        return self.ask("/segment", PICTURE)

    def metric(self, line: str) -> float:
        text = self.ask("/metrics")[1].decode()
        found = re.search(rf"^maskformer_{re.escape(line)} (\S+)$", text, re.M)
        return float(found[1]) if found else 0.0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("fronts"))
    yield started
    started.kill()


@pytest.fixture(scope="module")
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def until(condition: Callable[[], bool]) -> None:
    limit_s = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < limit_s
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether the process exists, and not only because nobody has asked for its exit status."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False


def load(server: Server, callers: ThreadPoolExecutor) -> "list[Future[tuple[int, bytes]]]":
    """Ten requests, of which some run and some wait."""
    before = server.metric('batch_size_count{model="fake"}')
    answers = [callers.submit(server.segment) for _ in range(10)]
    until(lambda: server.metric('batch_size_count{model="fake"}') > before)
    until(lambda: server.metric('queue_size{model="fake"}') > 0)
    return answers


def test_any_front_tells_the_numbers_of_all(server: Server, callers: ThreadPoolExecutor) -> None:
    before = server.metric('batch_size_sum{model="fake"}')
    answers = [future.result() for future in load(server, callers)]
    assert {status for status, _ in answers} == {200}
    for _ in range(8):
        assert server.metric('batch_size_sum{model="fake"}') - before == 10
        answered = 'requests_total{code="200",mode="panoptic",route="/segment"}'
        assert server.metric(answered) == 10
        assert server.metric('inference_duration_seconds_count{model="fake"}') == 10
        assert server.metric('queue_size{model="fake"}') == 0
        assert server.metric("engine_process_starts_total") == 1
        assert b"process_resident_memory_bytes" in server.ask("/metrics")[1]
    assert server.arenas() == 2


def test_a_killed_engine_process_fails_what_it_had_and_comes_back(
    server: Server, callers: ThreadPoolExecutor
) -> None:
    answers = load(server, callers)
    os.kill(server.pid("engine"), signal.SIGKILL)
    statuses = [future.result() for future in answers]
    lost = [body for status, body in statuses if status == 503]
    assert lost
    assert len(lost) + [status for status, _ in statuses].count(200) == 10
    assert all(b"engine_lost_error" in body or b"not_ready_error" in body for body in lost)
    assert server.ask("/readyz")[0] == 503
    assert server.ask("/livez")[0] == 200
    until(lambda: all(server.ask("/readyz")[0] == 200 for _ in range(4)))
    assert {callers.submit(server.segment).result()[0] for _ in range(4)} == {200}
    assert server.metric("engine_process_starts_total") == 2
    assert server.metric('inference_duration_seconds_count{model="fake"}') > 10


def test_a_killed_front_frees_its_memory_and_its_place_in_the_queue(
    server: Server, callers: ThreadPoolExecutor
) -> None:
    until(lambda: server.arenas() == 2)
    killed = server.pid("front-0")
    answers = load(server, callers)
    os.kill(killed, signal.SIGKILL)
    for future in answers:
        with contextlib.suppress(OSError):  # those of the killed front
            assert future.result()[0] == 200
    until(lambda: server.metric('queue_size{model="fake"}') == 0)
    until(lambda: server.pid("front-0") != killed and server.arenas() == 2)
    assert server.segment()[0] == 200
    until(lambda: server.metric("inflight_requests") == 1)  # the one that asks


def test_sigterm_answers_what_is_there_and_leaves_nothing(
    server: Server, callers: ThreadPoolExecutor
) -> None:
    pids = [server.pid(name) for name in ("engine", "front-0", "front-1")]
    answers = load(server, callers)
    server.process.send_signal(signal.SIGTERM)
    assert {future.result()[0] for future in answers} == {200}
    assert server.process.wait(SOON_S) == 0
    assert not any(is_running(pid) for pid in pids)


def test_no_process_outlives_the_first_one(tmp_path: Path) -> None:
    server = Server(tmp_path)
    pids = [server.pid(name) for name in ("engine", "front-0", "front-1")]
    server.kill()
    until(lambda: not any(is_running(pid) for pid in pids))


def test_an_engine_process_that_cannot_start_ends_the_service(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    ended = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=SOON_S)
    assert ended.returncode == 2
    assert "maskformer: expected a device, got none\n" in ended.stderr
    assert ended.stdout == ""
