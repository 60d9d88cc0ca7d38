"""Label Studio's brush masks: the rle-pack bit stream of thi.ng/rle-pack.

The stream holds the row-major RGBA bytes of a picture, four equal ones per pixel: a 32-bit count of
bytes, 5 bits for the size of a word less one, four times 4 bits for the possible widths of a run's
length less one; then, per run, the bit 1 for "repeated", 2 bits that choose a width, the length
less one in that width, and the byte that repeats.
"""

import numpy as np

_WIDTHS = np.array([3, 4, 8, 16])  # bits of a run's length less one, as Label Studio writes them
_LONGEST = 1 << 16
_OPAQUE = 255  # alpha comes from the value: 1 would be invisible


def brush_rle(mask: np.ndarray) -> list[int]:
    """Encode one mask.

    Args:
        mask: (h, w) bool.

    Returns:
        bytes as whole numbers.
    """
    lengths, values = _split(*_runs(mask.reshape(-1)))
    choice = np.searchsorted(1 << _WIDTHS, lengths)
    widths = _WIDTHS[choice]
    words = (((4 | choice) << widths | (lengths - 1)) << 8) | values
    header = [*_bits(4 * mask.size, 32), *_bits(7, 5)]
    header += [bit for width in _WIDTHS for bit in _bits(int(width) - 1, 4)]
    stream = np.concatenate([np.array(header, np.uint8), _pack(words, 11 + widths)])
    packed: list[int] = np.packbits(stream).tolist()
    return packed


def _runs(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths in bytes, and the byte of each run."""
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = 4 * np.diff(starts, append=flat.size)
    return lengths, np.where(flat[starts], _OPAQUE, 0)


def _split(lengths: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut runs that are longer than 16 bits can say."""
    pieces = -(-lengths // _LONGEST)
    cut = np.full(pieces.sum(), _LONGEST)
    cut[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _LONGEST
    return cut, np.repeat(values, pieces)


def _pack(words: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The `counts` low bits of each word, highest first, one after the other."""
    place = np.arange(counts.max())
    bits = words[:, None] >> np.maximum(counts[:, None] - 1 - place, 0) & 1
    packed: np.ndarray = bits[place < counts[:, None]].astype(np.uint8)
    return packed


def _bits(value: int, count: int) -> list[int]:
    return [value >> place & 1 for place in reversed(range(count))]
