"""The drawn scenes: the same everywhere, and labelled exactly."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.data.example import Example
from model.data.scenes import CLASSES, draw_scene

ROOT = Path(__file__).resolve().parents[3]


def digest(example: Example) -> str:
    """Returns a hash of a picture and its ground truth."""
    parts = example.image.tobytes() + example.panoptic.tobytes() + repr(example.segments).encode()
    return hashlib.sha256(parts).hexdigest()


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [draw_scene(seed, 96, 128) for seed in range(40)]


def test_the_fixed_order_of_the_classes() -> None:
    names = [entry.name for entry in CLASSES]
    assert names == [
        "sky",
        "building",
        "road",
        "pavement",
        "grass",
        "tree",
        "water",
        "mountain",
        "car",
        "person",
        "bicycle",
        "lamp",
        "sign",
        "boat",
    ]
    assert [entry.is_thing for entry in CLASSES] == [False] * 8 + [True] * 6
    assert len({entry.color for entry in CLASSES}) == len(CLASSES)


def test_same_seed_gives_the_same_scene_twice_and_in_a_fresh_process() -> None:
    first, again = draw_scene(7, 64, 96), draw_scene(7, 64, 96)
    assert digest(first) == digest(again)
    code = (
        "import hashlib; from model.data.scenes import draw_scene; e = draw_scene(7, 64, 96);"
        "print(hashlib.sha256(e.image.tobytes() + e.panoptic.tobytes()"
        " + repr(e.segments).encode()).hexdigest())"
    )
    fresh = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert fresh.stdout.strip() == digest(first)
    assert digest(draw_scene(8, 64, 96)) != digest(first)


def test_segments_are_exactly_the_ids_in_the_picture(examples: list[Example]) -> None:
    for example in examples:
        ids = [segment.id for segment in example.segments]
        assert len(ids) == len(set(ids))
        assert set(ids) == set(np.unique(example.panoptic).tolist()) - {0}
        stuff = [s.class_index for s in example.segments if not CLASSES[s.class_index].is_thing]
        assert len(stuff) == len(set(stuff))
        assert not any(segment.is_crowd for segment in example.segments)


def test_types_and_shapes(examples: list[Example]) -> None:
    for example in examples:
        assert example.image.shape == (96, 128, 3) and example.image.dtype == np.uint8
        assert example.panoptic.shape == (96, 128) and example.panoptic.dtype == np.int32


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (32, 200), (200, 32), (97, 131)])
def test_odd_and_extreme_sizes(size: tuple[int, int]) -> None:
    for seed in range(4):
        example = draw_scene(seed, *size)
        assert example.image.shape == (*size, 3) and example.panoptic.shape == size
        assert example.segments


def test_every_class_appears_and_little_is_unlabelled(examples: list[Example]) -> None:
    found = {segment.class_index for example in examples for segment in example.segments}
    assert found == set(range(len(CLASSES)))
    assert np.mean([np.mean(example.panoptic == 0) for example in examples]) < 0.01
    assert max(np.mean(example.panoptic == 0) for example in examples) < 0.03


def test_things_are_large_enough_to_be_named(examples: list[Example]) -> None:
    for example in examples:
        for segment in example.segments:
            if CLASSES[segment.class_index].is_thing:
                assert np.sum(example.panoptic == segment.id) >= 24


def test_another_size_shows_the_same_scene() -> None:
    for seed in range(6):
        small, large = draw_scene(seed, 96, 144), draw_scene(seed, 192, 288)
        shrunk = large.panoptic[::2, ::2]
        stuff = (small.panoptic > 0) & (small.panoptic < 9)
        assert np.mean(small.panoptic[stuff] == shrunk[stuff]) > 0.9


def test_labels_follow_the_edges_that_are_drawn() -> None:
    """Along the borders of things the picture changes more than elsewhere."""
    ratios = []
    for seed in range(8):
        example = draw_scene(seed, 128, 192)
        gray = example.image.astype(np.float32).mean(2)
        jump = np.abs(np.diff(gray, axis=1))
        left, right = example.panoptic[:, :-1], example.panoptic[:, 1:]
        border = (left != right) & ((left >= 9) | (right >= 9))
        ratios.append(jump[border].mean() / jump[~border].mean())
    assert np.mean(ratios) > 2.5


@pytest.mark.parametrize(
    "arguments",
    [
        (-1, 64, 64),
        (0, 31, 64),
        (0, 64, 4097),
        (0, 64.0, 64),
        (1.5, 64, 64),
        (True, 64, 64),
        ("0", 64, 64),
        (0, None, 64),
    ],
)
def test_refuses_what_is_not_an_integer_in_range(arguments: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected .*, got "):
        draw_scene(*arguments)  # type: ignore[arg-type]


def test_numpy_integers_are_integers() -> None:
    assert digest(draw_scene(np.int64(3), np.int32(40), np.int16(48))) == digest(  # type: ignore[arg-type]
        draw_scene(3, 40, 48)
    )
