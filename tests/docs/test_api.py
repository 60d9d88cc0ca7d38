"""The examples of docs/api.md, run as they stand against a service on a socket."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.artifact import Artifact
from tests.app.conftest import HeldEngine, artifact, make_app
from tests.app.live import serving

__all__ = ["artifact"]

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"^## ([^\n]*)$|^```(python|sh)\n(.*?)^```", TEXT, re.M | re.S)


def examples() -> list:
    found, heading = [], ""
    for title, language, code in EXAMPLES:
        heading = title or heading
        if code:
            found.append(pytest.param(language, code, id=f"{heading} {len(found)}"))
    return found


@pytest.fixture(scope="module")
def address(artifact: Artifact) -> Iterator[str]:
    with serving(make_app(artifact, HeldEngine(), vertex_predict_route="/predict")) as address:
        yield address


@pytest.mark.parametrize(("language", "code"), examples())
def test_every_example_runs(address, language, code, monkeypatch, capfd) -> None:
    monkeypatch.chdir(ROOT)
    code = code.replace("localhost:8000", address)
    if language == "python":
        exec(code, {})
    else:
        subprocess.run(["sh", "-ec", code], check=True, timeout=60)
    assert capfd.readouterr().out.strip()


def test_every_protocol_has_an_example_or_a_page() -> None:
    linked = set(re.findall(r"\]\(#([a-z-]+)\)", TEXT))
    headings = {title.lower().replace(" ", "-") for title, _, _ in EXAMPLES if title}
    assert linked == headings
