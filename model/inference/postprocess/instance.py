"""Instance answers: countable objects, each with a mask of its own; masks may overlap."""

from dataclasses import dataclass

import numpy as np

from model.inference.masks import box_of_runs
from model.inference.postprocess import kernels
from model.inference.postprocess.geometry import Geometry, softmax
from model.structures import RawOutput, Segment, Segmentation

_BITS = 32  # queries at once: one bit each in a uint32 per pixel
_FLAT = np.float32(2e-5)  # bounds so close that their middle stands for all pixels between


def instance(
    raw: RawOutput,
    geometry: Geometry,
    *,
    is_thing: np.ndarray,
    score_threshold: float,
    mask_threshold: float,
) -> Segmentation:
    """Take the Q best of all Q x K pairs of query and class as candidates.

    A candidate's mask is where its query's probability lies above `mask_threshold`; its score is
    the class probability times the mean probability inside that mask. Stuff, empty masks and
    scores not above `score_threshold` are dropped. A query may appear under several classes.

    Source: the instance inference that arXiv 2112.01527 (section 4.1) added to this model family.

    Args:
        raw: with class logits.
        geometry: its sizes.
        is_thing: (K,) bool.
        score_threshold: in [0, 1].
        mask_threshold: in (0, 1).
    """
    if raw.class_logits is None:
        raise ValueError("expected class logits for an instance answer, got a per-pixel baseline")
    candidates = _candidates(softmax(raw.class_logits)[:, :-1], is_thing, score_threshold)
    queries = sorted({query for query, _, _ in candidates})
    masks: dict[int, _Mask] = {}
    for begin in range(0, len(queries), _BITS):
        some = queries[begin : begin + _BITS]
        masks |= zip(some, _masks(raw.mask_logits[some], geometry, mask_threshold), strict=True)
    found = []
    for query, label, probability in candidates:
        score = probability * masks[query].mean_probability
        if masks[query].area_px and score > score_threshold:
            found.append((score, label, masks[query]))
    found.sort(key=lambda row: -row[0])  # stable: equals stay in candidate order
    runs = tuple(mask.bits.runs(mask.bit) for _, _, mask in found)
    segments = tuple(
        Segment(id_, label, score, mask.area_px, box_of_runs(counts, geometry.original_hw))
        for id_, ((score, label, mask), counts) in enumerate(zip(found, runs, strict=True), 1)
    )
    id_map = _paint([mask for _, _, mask in found], geometry.original_hw)
    return Segmentation("instance", id_map, segments, runs)


@dataclass(frozen=True, eq=False)
class _Bits:
    """Up to `_BITS` masks of one picture, as runs of equal pixels, column by column.

    Attributes:
        starts: (R,) int64, where a run begins.
        words: (R,) uint32, bit n is mask n.
        total_px: of the picture.
    """

    starts: np.ndarray
    words: np.ndarray
    total_px: int

    @classmethod
    def of(cls, words: np.ndarray) -> "_Bits":
        """One pass over a (h, w) uint32 picture."""
        flat = words.T.reshape(-1)
        starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        starts = np.concatenate([np.zeros(1, np.int64), starts])
        return cls(starts, flat[starts], flat.size)

    def has(self, bit: int) -> np.ndarray:
        """(R,) bool, the runs inside one mask."""
        return (self.words >> np.uint32(bit) & np.uint32(1)).astype(bool)

    def runs(self, bit: int) -> np.ndarray:
        """Run lengths of one mask, as `model.inference.masks.runs_of_mask` gives."""
        inside = self.has(bit)
        bounds = self.starts[1:][inside[1:] != inside[:-1]]
        counts = np.diff(bounds, prepend=0, append=self.total_px)
        return np.concatenate([[0], counts]) if inside[0] else counts


@dataclass(frozen=True, eq=False)
class _Mask:
    """One query's own mask, at the picture's own size."""

    bits: _Bits
    bit: int
    area_px: int
    mean_probability: float


def _paint(masks: list[_Mask], hw: tuple[int, int]) -> np.ndarray:
    """(h, w) int32: where masks overlap, the first one's number, from 1 on."""
    height, width = hw
    columns = np.zeros(width * height, np.int32)  # column by column, as the runs
    for bits in dict.fromkeys(mask.bits for mask in reversed(masks)):
        ids = np.zeros(len(bits.starts), np.int32)
        for id_, mask in reversed(list(enumerate(masks, 1))):
            if mask.bits is bits:
                ids[bits.has(mask.bit)] = id_
        painted = ids.repeat(np.diff(bits.starts, append=bits.total_px))
        better = (painted > 0) & ((columns == 0) | (painted < columns))
        np.copyto(columns, painted, where=better)
    return np.ascontiguousarray(columns.reshape(width, height).T)


def _candidates(
    probabilities: np.ndarray, is_thing: np.ndarray, score_threshold: float
) -> list[tuple[int, int, float]]:
    """Query, class and probability, the best first; the lower pair of equals.

    A score is at most its class probability, so what already fails the threshold here would
    fail it later.
    """
    queries, classes = probabilities.shape
    flat = probabilities.reshape(-1)
    best = np.argsort(-flat, kind="stable")[:queries]
    best = best[is_thing[best % classes] & (flat[best] > score_threshold)]
    return [(int(i) // classes, int(i) % classes, float(flat[i])) for i in best]


def _masks(mask_logits: np.ndarray, geometry: Geometry, mask_threshold: float) -> list[_Mask]:
    """The masks of at most `_BITS` queries."""
    count = len(mask_logits)
    bits = np.empty(geometry.original_hw, np.uint32)
    areas_px, sums = np.zeros(count, np.int64), np.zeros(count)
    least = np.nextafter(np.float32(mask_threshold), np.float32(1))
    for strip in geometry.probabilities(mask_logits, "output").strips():
        lower, upper = strip.bounds()
        is_open = ((upper >= least) & ((lower < least) | (upper - lower > _FLAT))).any(axis=-1)
        strip.fill(bits, _bits(lower >= least))
        middle = np.where(lower >= least, (lower + upper) / 2, 0)[~is_open]  # 0: outside
        weights_px = strip.areas_px[~is_open][:, None]
        areas_px += np.where(middle > 0, weights_px, 0).sum(axis=0)
        sums += (middle * weights_px).sum(axis=0)
        for positions, values in strip.pixels(is_open):
            bits.reshape(-1)[positions] = _bits(values[:, :count] >= least)
            kernels.tally(areas_px, sums, values, least)
    means = (sums / np.maximum(1, areas_px)).tolist()
    shared = _Bits.of(bits)
    return [_Mask(shared, n, int(areas_px[n]), means[n]) for n in range(count)]


def _bits(is_inside: np.ndarray) -> np.ndarray:
    """(..., N <= `_BITS`) bool -> (...) uint32, the first in the lowest bit."""
    padded = np.zeros((*is_inside.shape[:-1], _BITS), bool)
    padded[..., : is_inside.shape[-1]] = is_inside
    return np.packbits(padded, bitorder="little").view("<u4").reshape(padded.shape[:-1])
