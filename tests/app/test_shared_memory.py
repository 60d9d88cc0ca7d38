import gc
import mmap
import os
from collections.abc import Iterator

import numpy as np
import pytest

from app.shared_memory import Arena, SlotPool, make_arena_file, slot_bytes
from model.config import PreprocessingConfig
from model.inference.preprocess import padded_hw
from tests.fakes import fake_manifest

PAGE = mmap.PAGESIZE
FORM = (300, 1000, 4 * PAGE)


def pages(fd: int) -> int:
    """How many pages of memory an arena costs."""
    return os.fstat(fd).st_blocks * 512 // PAGE


@pytest.fixture
def fd() -> Iterator[int]:
    """An arena of 300 models and 1000 slots of 4 pages."""
    made = make_arena_file(*FORM)
    yield made
    os.close(made)


def test_what_one_side_writes_the_other_reads(fd: int) -> None:
    ours, theirs = Arena(fd, *FORM), Arena(fd, *FORM)
    for slot in range(4):
        ours.array(slot, 10)[:] = slot
    ours.board[299] = 7, 0.5, 6, np.inf, 4, 8
    assert [theirs.array(slot, 10)[9] for slot in range(4)] == [0, 1, 2, 3]
    assert theirs.board[299].tolist() == [7, 0.5, 6, np.inf, 4, 8]
    assert theirs.array(0, PAGE).size == PAGE


@pytest.mark.parametrize(("slot", "floats"), [(1000, 1), (-1, 1), (0, PAGE + 1), (0, -1)])
def test_nothing_beyond_a_slot_can_be_reached(fd: int, slot: int, floats: int) -> None:
    with pytest.raises(ValueError, match="expected a slot below 1000"):
        Arena(fd, *FORM).array(slot, floats)


def test_memory_is_spent_on_what_is_written_and_cold_slots_give_it_back(
    fd: int,
) -> None:
    ours = Arena(fd, *FORM)
    pool = SlotPool(ours, 1000, warm=1)
    assert pages(fd) == 0
    taken = [pool.take() for _ in range(2)]
    assert taken == [0, 1]
    for slot in (0, 1):
        ours.array(slot, PAGE)[:] = 1  # 4 pages
    assert pages(fd) == 8
    for slot in (1, 0):
        pool.give_back(slot)
    assert pages(fd) == 4
    assert len(pool) == 1000
    assert pool.take() == 0


def test_an_empty_pool_gives_nothing(fd: int) -> None:
    pool = SlotPool(Arena(fd, *FORM), slots=1, warm=1)
    assert pool.take() == 0
    assert pool.take() is None
    pool.give_back(0)
    assert pool.take() == 0


def test_views_keep_the_memory_when_the_arena_is_gone(fd: int) -> None:
    ours, theirs = Arena(fd, *FORM), Arena(fd, *FORM)
    theirs.array(2, 3)[:] = 5
    view = ours.array(2, 3)[1:].reshape(1, 2)
    del ours, theirs
    gc.collect()
    assert view.tolist() == [[5, 5]]


@pytest.mark.parametrize("shortest", [None, 100, 512, 3000])
@pytest.mark.parametrize("kind", ["maskformer", "per_pixel"])
def test_a_slot_holds_any_picture_and_its_output(shortest: int | None, kind: str) -> None:
    config = PreprocessingConfig(shortest_edge_px=shortest, longest_edge_px=1000, pad_to_px=48)
    manifest = fake_manifest(queries=50, kind=kind, preprocessing=config)
    room = slot_bytes(manifest)
    assert room % PAGE == 0
    largest = 0
    for hw in [(1, 9000), (9000, 1), (999, 1000), (1000, 1000), (5000, 4999), (600, 997)]:
        height, width = padded_hw(hw, config)
        cells = -(-height // 4) * -(-width // 4)
        queries = 50 if kind == "maskformer" else 4
        largest = max(largest, 3 * height * width, queries * (5 + cells))
    assert largest * np.dtype(np.float32).itemsize <= room
