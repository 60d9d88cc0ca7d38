"""Every command that the documentation shows is run, or is known not to be and then checked.

A block of `sh`, `bash` or `python`, or one without a language that begins with a program, is taken
from each page. Its lines run against one service with the bundled model, but for those that
`NOT_RUN` names with a reason: their options, targets and files are checked instead. A new command
is run: it works, or the test fails.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "deploy").rglob("README.md")),
]
# A regular expression for the whole command, and why it is not run here.
NOT_RUN = {
    r"git clone .*|cd maskformer-serving": "makes the folder that this test stands in",
    r"make (serve|test|install)|\.venv/bin/pip .*|\. \.venv/bin/activate": "makes the environment "
    "in which this test runs, or starts the service that it asks",
    r"MASKFORMER_MODELS=\S+ make serve": "serves a model that the reader made",
    r"maskformer import facebook/.*": "downloads weights",
    r"maskformer (train|ablate) .*": "trains for minutes or hours; tests/cli/test_train.py and "
    "test_ablate.py run small ones",
    r"maskformer (data check|evaluate) (own|own-model)( .*)?": "needs the reader's own data; "
    "tests/cli/test_data.py and test_evaluate.py run them",
    r"docker (build|run|compose) .*": "needs Docker; tests/docker checks the targets",
    r"maskformer bench MODEL": "measures for minutes; tests/cli/test_bench.py runs it",
    r"python -m benchmarks\..*": "measures for minutes",
    r"kubectl .*": "needs a cluster; tests/deploy builds and validates what is applied",
    r"export \w+=.*|sh deploy/training/train\.sh": "needs two machines of GPUs; "
    "tests/deploy/test_training.py runs the script",
}
# Pages and blocks that another test runs as they stand.
ELSEWHERE = {
    "docs/api.md": "tests/docs/test_api.py::test_every_example_runs",
    "README.md python": "tests/e2e/test_bundled_model.py::test_the_readmes_python_runs",
}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
_PROGRAMS = ("curl", "git", "kubectl", "make", "maskformer", "pip", "python", "torchrun")


def blocks() -> Iterator[tuple[str, str, str]]:
    """Page, language and text of every block of commands that no other test runs."""
    for path in PAGES:
        page = str(path.relative_to(ROOT))
        for language, text in _BLOCK.findall(path.read_text(encoding="utf-8")):
            if not language and text.split()[0] in _PROGRAMS:
                language = "sh"
            if language in ("sh", "bash", "python") and not {page, f"{page} {language}"} & {
                *ELSEWHERE
            }:
                yield page, language, text


def commands(text: str) -> list[str]:
    """The commands of a shell block, without comments, with continued lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    bare = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
    return [part for line in bare for part in line.split(" && ") if part]


def is_run(command: str) -> bool:
    return not any(re.fullmatch(pattern, command) for pattern in NOT_RUN)


def named(kind: str) -> list:
    return [
        pytest.param(text, id=f"{page} {at}")
        for at, (page, language, text) in enumerate(blocks())
        if (language == "python") == (kind == "python")
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder, but for what commands write."""
    for path in ROOT.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", named("sh"))
def test_shell(server: str, folder: Path, text: str) -> None:
    """What runs here runs in order, as one script; the rest is checked."""
    script = [command for command in commands(text) if is_run(command)]
    for command in commands(text):
        if not is_run(command):
            check(command)
    if script:
        address = server.removeprefix("http://")
        code = "\n".join(script).replace("localhost:8000", address)
        said = subprocess.run(["sh", "-ec", code], capture_output=True, text=True, timeout=60)
        assert said.returncode == 0, said.stderr + said.stdout
        assert said.stdout or any(folder.glob("*.png")), code


@pytest.mark.parametrize("text", named("python"))
def test_python(server: str, folder: Path, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    exec(text.replace("http://localhost:8000", server), {"__name__": "example"})
    assert capfd.readouterr().out.strip()


def check(command: str) -> None:
    """Compare a command that is not run with the parsers and files that it would meet."""
    words = shlex.split(command)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if words[:1] == ["maskformer"]:
        check_verb(words[1:])
    elif words[:2] == ["python", "-m"]:
        check_module(words[2], words[3:])
    elif words[:1] == ["make"]:
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M), (
            command
        )
    for word in words:
        if "/" in word and (ROOT / word.split("/")[0]).is_dir() and not word.startswith("runs/"):
            assert (ROOT / word).exists(), f"{command}: expected {word} to be there"


def verb_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The verb that a `maskformer` command line names, and what follows it."""
    verb: click.Command = typer.main.get_command(app)
    while (known := getattr(verb, "commands", None)) and words:
        assert words[0] in known, f"expected one of {sorted(known)}, got {words[0]}"
        verb, words = known[words[0]], words[1:]
    return verb, words


def check_verb(words: list[str]) -> None:
    verb, words = verb_of(words)
    context = verb.make_context("maskformer", list(words))  # refuses what it does not know
    if verb.name == "train":
        from model.training.config import load_preset, override

        override(load_preset(context.params["preset"]), context.params["overrides"] or [])


def check_module(name: str, words: list[str]) -> None:
    """Compare with the options that the program adds, or takes from the shared parser."""
    source = (ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
    if "from benchmarks._report import" in source:
        source += (ROOT / "benchmarks" / "_report.py").read_text(encoding="utf-8")
    known = set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', source))
    assert {word for word in words if word.startswith("--")} <= known, (name, words)


def inline() -> set[str]:
    """The `maskformer` commands and mentions within sentences and tables."""
    text = "\n".join(_BLOCK.sub("", path.read_text(encoding="utf-8")) for path in PAGES)
    return set(re.findall(r"`(maskformer [a-z][^`]*)`", text))


def test_verbs_and_options_in_sentences_exist() -> None:
    assert len(inline()) > 10
    for command in inline():
        words = command.replace("\n", " ").split()[1:]
        verb, rest = verb_of(words)
        known = {option for each in verb.params for option in each.opts}
        assert verb.name == "serve" or {word for word in rest if word[:2] == "--"} <= known, command


def test_every_exception_is_needed() -> None:
    """A reason for a command that no page shows any more goes, too."""
    shown = [line for _, language, text in blocks() if language != "python"
             for line in commands(text)]  # fmt: skip
    assert any(is_run(line) for line in shown)
    for pattern in NOT_RUN:
        assert any(re.fullmatch(pattern, line) for line in shown), pattern
    for test in ELSEWHERE.values():
        file, name = test.split("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")
