"""docs/api.md: its examples run as they stand, its tables are true."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.openapi import TAGS
from cli.api_page import PAGE, describe, renewed
from model.artifact import Artifact, load_artifact
from tests.app.conftest import HeldEngine, artifact, make_app
from tests.app.live import serving

__all__ = ["artifact"]

ROOT = Path(__file__).parents[2]
TEXT = PAGE.read_text(encoding="utf-8")
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
    monkeypatch.setattr(sys, "path", [*sys.path])
    code = code.replace("localhost:8000", address)
    if language == "python":
        exec(code, {"__name__": "example"})
    else:
        subprocess.run(["sh", "-ec", code], check=True, timeout=60)
    assert capfd.readouterr().out.strip()


def test_every_protocol_has_an_example_or_a_page() -> None:
    linked = set(re.findall(r"\]\(#([a-z-]+)\)", TEXT))
    headings = {title.lower().replace(" ", "-") for title, _, _ in EXAMPLES if title}
    assert linked == headings


def test_the_tables_are_up_to_date() -> None:
    assert renewed(TEXT) == TEXT, "run: python -m cli.api_page"


def test_every_route_has_a_row() -> None:
    paths = describe()["paths"]
    routes = {f"{method.upper()} {path}" for path, each in paths.items() for method in each}
    assert routes == set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", TEXT, re.M))
    tags = {
        tag for each in paths.values() for operation in each.values() for tag in operation["tags"]
    }
    assert tags == {tag["name"] for tag in TAGS}


def test_what_the_examples_print_is_of_the_bundled_model() -> None:
    assert f"`scenes` ({load_artifact(ROOT / 'weights' / 'scenes').hash})" in TEXT
