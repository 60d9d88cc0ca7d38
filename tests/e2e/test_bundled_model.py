"""The bundled model as a newcomer meets it: the README's commands, and its scores."""

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.scene_dataset import SceneDataset
from model.evaluation.evaluate import evaluate
from model.inference.segmenter import Segmenter

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAMPLE = ROOT / "samples" / "2000010.jpg"


def post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: bytes = response.read()
    return answer


def test_the_readmes_curl_gives_the_readmes_answer(server: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("expected the program curl, got none")
    (command,) = re.findall(r"^curl .*$", README, re.MULTILINE)
    command = command.replace("localhost:8000", server.removeprefix("http://"))
    result = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, check=True)
    shown = json.loads(re.findall(r"```json\n(.*?)```", README, re.DOTALL)[0].replace(", ...", ""))
    given = json.loads(result.stdout)
    assert {k: given[k] for k in ("model", "mode", "width", "height")} == {
        k: shown[k] for k in ("model", "mode", "width", "height")
    }
    # Pixel counts differ a little between processors; which segments there are does not.
    given_labels = [row["label"] for row in given["segments"]]
    assert all(row["label"] in given_labels for row in shown["segments"])
    assert {"car", "road", "sky"} <= set(given_labels)


def test_the_readmes_python_runs() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert "(512, 768)" in result.stdout


@pytest.mark.parametrize("mode", ["panoptic", "semantic", "instance"])
def test_service_command_line_and_python_agree(server: str, mode: str, tmp_path: Path) -> None:
    served = post(f"{server}/segment?mode={mode}&format=png", SAMPLE.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "cli.main", "segment", SAMPLE, "--mode", mode, "--output", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    assert (tmp_path / f"{SAMPLE.stem}.png").read_bytes() == served
    with Segmenter.load(ROOT / "weights" / "scenes") as segmenter:
        ids = segmenter.segment(SAMPLE.read_bytes(), mode).id_map
    with Image.open(io.BytesIO(served)) as picture:
        pixels = np.asarray(picture).astype(int)
    if mode == "semantic":
        assert np.array_equal(pixels + 1, ids)
    else:
        assert np.array_equal(pixels @ [1, 256, 65536], ids)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
def test_scores_on_unseen_scenes(engine: str) -> None:
    with Segmenter.load(ROOT / "weights" / "scenes", engine=engine) as segmenter:
        scores = evaluate(segmenter, SceneDataset(3_000_000, 12, (256, 384)))
    assert scores.summary()["PQ"] > 0.6
    assert scores.summary()["mIoU"] > 0.75
