"""The verb as a person meets it: its help, its refusals, a real socket, a real signal."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from app.settings import Settings, flag_of, variable_of
from cli.serve import SERVE_CONTEXT, bind, serve
from model.errors import InvalidParameterError
from tests.fakes import to_bytes

SOON_S = 60.0

# A service on a slow fake engine, started as the verb starts it.
PROGRAM = """
    import sys
    from pathlib import Path
    from app.settings import load_settings
    from cli.serve import bind, run_server
    from model.inference.segmenter import Segmenter
    from tests.fakes import FakeEngine, fake_artifact

    artifact = fake_artifact(Path(sys.argv[1]))
    settings = load_settings({"host": "127.0.0.1", "port": "0", "drain_delay_ms": "2000"})
    segmenters = {"fake": Segmenter(artifact, FakeEngine(delay_s=0.2))}
    run_server(settings, segmenters, bind(settings.host, settings.port))
"""


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command(context_settings=SERVE_CONTEXT)(serve)
    return app


def test_help_lists_every_setting(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    for name, field in Settings.model_fields.items():
        assert flag_of(name) in text
        assert f"[env: {variable_of(name)}]" in text
        assert str(field.description)[:40] in text
    assert "[default: 8000]" in text


def test_a_misspelt_flag_is_refused(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--max-quee", "5"])
    assert result.exit_code == 2
    assert "--max-queue" in result.output


def test_a_bad_value_is_refused_by_its_flag(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--max-queue", "none"])
    assert isinstance(result.exception, InvalidParameterError)
    assert str(result.exception).startswith("--max-queue: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_cannot_be_had_is_told_in_one_sentence(host: str) -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidParameterError, match=f"got host {host} and port {port}: "):
            bind(host, port)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MASKFORMER_")}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "fake")],
        stdout=subprocess.PIPE,
        text=True,
        env=environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert line.startswith("Ready: http://127.0.0.1:"), line
        assert line.endswith("serves fake (fake, CPU, float32)\n")
        yield process, line.split()[1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=SOON_S) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def test_it_serves_and_leaves_in_order(server: tuple[subprocess.Popen[str], str]) -> None:
    process, url = server
    picture = to_bytes(np.zeros((32, 32, 3), np.uint8))
    request = urllib.request.Request(f"{url}/segment", picture, {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=SOON_S) as answer:
        assert json.load(answer)["width"] == 32
    assert ask(f"{url}/readyz")[0] == 200
    process.send_signal(signal.SIGTERM)
    limit_s = time.monotonic() + SOON_S
    while ask(f"{url}/readyz")[0] != 503:  # while it drains it still answers
        assert time.monotonic() < limit_s
    assert ask(f"{url}/livez")[0] == 200
    assert process.wait(SOON_S) == 0
