"""The programs in examples/, as a reader runs them, against the bundled model."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PICTURES = [str(ROOT / "samples" / name) for name in ("2000010.jpg", "2000005.jpg")]


def run(*command: str, cwd: Path) -> list[str]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"expected the program {command[0]}, got none")
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout.splitlines()


def test_curl(server: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("expected the program curl, got none")
    said = run("sh", str(ROOT / "examples" / "segment.sh"), server, *PICTURES, cwd=tmp_path)
    answers = [json.loads(line) for line in said if line.startswith("{")]
    assert [answer["mode"] for answer in answers] == ["panoptic", "semantic", "semantic"]
    assert sorted(answer.get("index", -1) for answer in answers) == [-1, 0, 1]
    with Image.open(tmp_path / "segments.png") as picture:
        assert picture.size == (768, 512)


def test_python(server: str, tmp_path: Path) -> None:
    said = run(
        sys.executable, str(ROOT / "examples" / "segment.py"), server, *PICTURES, cwd=tmp_path
    )
    assert any(line.startswith("car 1.00: ") for line in said)
    assert sum(line.startswith(tuple(PICTURES)) for line in said) == 3
    assert said[-1].startswith("415 unsupported_image_error: expected a")


def test_javascript(server: str, tmp_path: Path) -> None:
    """It decodes every mask itself, and compares its pixels with the answer's area."""
    said = run("node", str(ROOT / "examples" / "segment.mjs"), server, *PICTURES, cwd=tmp_path)
    assert any(line.startswith("car 1.00: ") for line in said)
    assert sum("scenes saw" in line for line in said) == 2
    assert said[-1].startswith("415 unsupported_image_error: expected a")


def test_every_example_is_listed_and_tested() -> None:
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples").iterdir():
        assert path.name == "README.md" or f"]({path.name})" in listed
