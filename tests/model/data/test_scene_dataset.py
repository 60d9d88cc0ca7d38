from pathlib import Path

import numpy as np
import pytest

from model.data import scene_dataset
from model.data.scene_dataset import SceneDataset
from model.data.scenes import draw_scene

HW = (64, 96)


def test_scenes_are_those_of_the_generator_with_and_without_cache(tmp_path: Path) -> None:
    expected = draw_scene(12, *HW)
    for cache in (None, tmp_path, tmp_path):  # the last one reads what the second wrote
        example = SceneDataset(10, 4, HW, cache)[2]
        np.testing.assert_array_equal(example.image, expected.image)
        np.testing.assert_array_equal(example.panoptic, expected.panoptic)
        assert example.panoptic.dtype == np.int32
        assert example.segments == expected.segments


def test_a_cached_scene_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = SceneDataset(0, 3, HW, tmp_path)
    assert dataset.missing() == [0, 1, 2]
    dataset[1]
    assert dataset.missing() == [0, 2]
    monkeypatch.setattr(scene_dataset, "draw_scene", None)
    assert dataset[1].segments


def test_fill_draws_what_is_missing(tmp_path: Path) -> None:
    dataset = SceneDataset(0, 3, HW, tmp_path)
    dataset[0]
    dataset.fill(processes=1)
    assert dataset.missing() == []
    dataset.fill(processes=1)


def test_another_generator_has_its_own_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SceneDataset(0, 2, HW, tmp_path)[0]
    monkeypatch.setattr(scene_dataset, "generator_hash", lambda: "another")
    assert SceneDataset(0, 2, HW, tmp_path).missing() == [0, 1]


def test_indices_end(tmp_path: Path) -> None:
    dataset = SceneDataset(7, 2, HW)
    assert len(dataset) == 2 and dataset.name(1) == "scene 8" and dataset.missing() == []
    with pytest.raises(IndexError):
        dataset[2]
