"""Memory that a front process and the engine process both see, so that pixels are never sent.

A front process makes an arena and gives its file descriptor to the engine process. The arena is an
anonymous file: it has no name that could be left over, needs no room in /dev/shm, and the kernel
frees it when the last process that knows it ends. It begins with the board, a few numbers per
model, and goes on with slots of equal size. Pages exist from the first write on, so a slot costs
what was written to it, not what it could hold.
"""

import heapq
import mmap
import os
from collections import deque

import numpy as np

from model.artifact import Manifest

_FLOAT_BYTES = 4
BOARD = 6


def slot_bytes(manifest: Manifest) -> int:
    """What the largest picture of a model needs, in whole pages.

    Its pixels are no longer needed when its output comes, so they share the place.
    """
    config, architecture = manifest.preprocessing, manifest.architecture
    step = config.pad_to_px
    longest = -(-config.longest_edge_px // step) * step
    shortest = min(-(-(config.shortest_edge_px or longest) // step) * step, longest)
    decoder = architecture.transformer_decoder
    queries = architecture.num_classes if decoder is None else decoder.queries
    cells = -(-shortest // 4) * -(-longest // 4)
    floats = max(3 * shortest * longest, queries * (architecture.num_classes + 1 + cells))
    return _whole_pages(_FLOAT_BYTES * floats)


class Arena:
    """A board and slots in memory that two processes share.

    Args:
        fd: from `make_arena_file` with the same numbers; not needed afterwards.
        models: rows of the board.
        slots: how many pictures at once.
        slot_bytes: of one slot, whole pages.

    Attributes:
        board: (models, 6) float64, in the order of the models: pictures that wait, seconds per
            picture, the limits of `Waiting` for interactive and bulk, and the seconds that one more
            of either needs. The engine process writes, the front process reads.
    """

    def __init__(self, fd: int, models: int, slots: int, slot_bytes: int) -> None:
        self._start_bytes = _board_bytes(models)
        self._slots, self._slot_bytes = slots, slot_bytes
        self._memory = mmap.mmap(fd, self._start_bytes + slots * slot_bytes)
        self.board = np.ndarray((models, BOARD), np.float64, self._memory)

    def array(self, slot: int, floats: int) -> np.ndarray:
        """The first so many float32 of a slot, not copied.

        Raises:
            ValueError: there is no such slot, or it is smaller.
        """
        if not 0 <= slot < self._slots or not 0 <= floats * _FLOAT_BYTES <= self._slot_bytes:
            raise ValueError(
                f"expected a slot below {self._slots} and {self._slot_bytes} bytes at most, "
                f"got slot {slot} and {floats * _FLOAT_BYTES} bytes"
            )
        start = self._start_bytes + slot * self._slot_bytes
        return np.ndarray((floats,), np.float32, self._memory, start)

    def forget(self, slot: int) -> None:
        """Give a slot's pages back to the system; it reads as zeros from now on."""
        start = self._start_bytes + slot * self._slot_bytes
        self._memory.madvise(mmap.MADV_REMOVE, start, self._slot_bytes)


def make_arena_file(models: int, slots: int, slot_bytes: int) -> int:
    """The descriptor of a new anonymous file, all zeros, for an `Arena` of the same numbers."""
    fd = os.memfd_create("maskformer")
    os.ftruncate(fd, _board_bytes(models) + slots * slot_bytes)
    return fd


def _board_bytes(models: int) -> int:
    return _whole_pages(models * BOARD * np.dtype(np.float64).itemsize)


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


class SlotPool:
    """The free slots of an arena.

    `take` belongs to one thread. `give_back` may be called from any, the garbage collector's
    moments included, so it takes no lock.

    Args:
        arena: its slots are all free.
        slots: how many it has.
        warm: so many keep their pages when they are given back; the lowest numbers go first.
    """

    def __init__(self, arena: Arena, slots: int, warm: int) -> None:
        self._arena, self._warm = arena, warm
        self._free = list(range(slots))
        self._returned: deque[int] = deque()

    def __len__(self) -> int:
        """How many are free."""
        return len(self._free) + len(self._returned)

    def take(self) -> int | None:
        """A free slot, None where there is none."""
        while self._returned:
            heapq.heappush(self._free, self._returned.popleft())
        return heapq.heappop(self._free) if self._free else None

    def give_back(self, slot: int) -> None:
        """Free a slot that neither process looks at any more."""
        try:
            if slot >= self._warm:
                self._arena.forget(slot)
        finally:
            self._returned.append(slot)
