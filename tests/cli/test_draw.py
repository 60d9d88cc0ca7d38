"""Scenes as files."""

from pathlib import Path

import numpy as np
from PIL import Image

from cli.draw import draw
from model.data.scenes import draw_scene


def test_a_scene_and_its_truth_are_written(tmp_path: Path) -> None:
    draw([7], tmp_path, height_px=64, width_px=96, truth=True)
    with Image.open(tmp_path / "7.png") as picture:
        ids = np.asarray(picture).astype(int) @ [1, 256, 65536]
    assert np.array_equal(ids, draw_scene(7, 64, 96).panoptic)
    with Image.open(tmp_path / "7.jpg") as picture:
        assert picture.size == (96, 64)
