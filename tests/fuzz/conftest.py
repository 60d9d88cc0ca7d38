"""A service to send hostile requests to, and where the cases are counted aloud."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.app.conftest import HeldEngine, make_app
from tests.fakes import fake_artifact
from tests.fuzz.cases import counted

KEY = "a-key-of-sixteen-letters"


@pytest.fixture
def first_seed(request: pytest.FixtureRequest) -> int:
    """0, or what `--hypothesis-seed` says, for other cases than last time."""
    return int(request.config.getoption("--hypothesis-seed") or 0)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TestClient]:
    """A service that asks for `KEY`, with every protocol's routes and low limits."""
    (tmp_path / "keys").write_text(f"fuzz:{KEY}", encoding="utf-8")
    app = make_app(
        fake_artifact(tmp_path / "fake"),
        HeldEngine(),
        api_keys_file=tmp_path / "keys",
        vertex_predict_route="/predict",
        max_image_bytes=2**20,
        max_image_pixels=300_000,
        max_tiles_per_request=16,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if counted:
        each = ", ".join(f"{name} {number}" for name, number in counted.items())
        terminalreporter.write_line(f"fuzzed {sum(counted.values())} cases: {each}")
