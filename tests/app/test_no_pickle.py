"""The way from a request to its answer unpickles nothing: a pickle is a program.

Not on that way are imports of other people's checkpoints, which `cli.foreign` makes before the
service starts, and reads with an unpickler that knows arrays alone. Python's own multiprocessing
pickles what a parent hands to the child that it spawns; fronts and engine process exchange JSON.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path.relative_to(ROOT)
    for pattern in ("app/**/*.py", "model/*.py", "model/inference/**/*.py", "model/network/**/*.py")
    for path in ROOT.glob(pattern)
) + [Path("cli", name) for name in ("server.py", "serve.py", "fronts.py")]
PICKLING = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
PICKLING |= {"jsonpickle", "multiprocessing.managers", "multiprocessing.shared_memory"}


def faults(tree: ast.AST) -> Iterator[str]:
    """What in a module unpickles, or runs text."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Call):
            yield from _faults_of_call(node)
    yield from (name for name in names if name in PICKLING or name.split(".")[0] in PICKLING)


def _faults_of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    options = {option.arg: ast.unparse(option.value) for option in call.keywords}
    if name in ("eval", "exec", "__import__"):
        yield name
    if name.endswith(("torch.load", "np.load", "numpy.load")):
        safe = options.get("weights_only") == "True" or name.endswith("np.load")
        if not safe or options.get("allow_pickle", "False") != "False":
            yield f"{name}({options})"
    if name.endswith((".recv", ".send")) and name.split(".")[-2] in ("_pipe", "starter", "pipe"):
        yield name  # a Connection of multiprocessing pickles, but for send_bytes and recv_bytes


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nothing_on_the_way_unpickles(path: Path) -> None:
    assert list(faults(ast.parse((ROOT / path).read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "def f():\n    from pickle import loads",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "self._pipe.recv()",
        "import cloudpickle as c",
        "eval(text)",
    ],
)
def test_the_test_sees_what_it_looks_for(text: str) -> None:
    assert list(faults(ast.parse(text)))
