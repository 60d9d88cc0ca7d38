"""Instance answers: countable objects, each with a mask of its own; masks may overlap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.inference.masks import box_of_runs
from model.inference.postprocess.bits import BITS, fill_words, find_runs, paint_runs
from model.inference.postprocess.finite import check_finite, check_finite_maps
from model.inference.postprocess.geometry import Geometry, softmax
from model.structures import RawOutput, Segment, Segmentation

Candidate = tuple[int, int, float]  # query, class, probability


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

    Raises:
        EngineError: a class logit, or a mask logit of a candidate, is not finite.
    """
    if raw.class_logits is None:
        raise ValueError("expected class logits for an instance answer, got a per-pixel baseline")
    check_finite(raw.class_logits)
    probabilities = softmax(raw.class_logits)[:, :-1].reshape(-1)
    best = np.argsort(-probabilities, kind="stable")[: len(raw.class_logits)]
    candidates = list_candidates(best, probabilities[best], is_thing, score_threshold)
    queries = sorted({query for query, _, _ in candidates})
    maps = np.ascontiguousarray(raw.mask_logits)
    check_finite_maps(maps, np.array(queries, np.int32))
    masks: dict[int, Mask] = {}
    for begin in range(0, len(queries), BITS):
        some = queries[begin : begin + BITS]
        masks |= zip(some, _masks(maps, some, geometry, mask_threshold), strict=True)
    return assemble(candidates, masks, geometry.original_hw, score_threshold)


def assemble(
    candidates: Sequence[Candidate],
    masks: "Mapping[int, Mask]",
    hw: tuple[int, int],
    score_threshold: float,
) -> Segmentation:
    """Score the candidates by their masks and make an answer of those that are good enough.

    Args:
        candidates: from `list_candidates`.
        masks: by query.
        hw: of the picture.
        score_threshold: in [0, 1].
    """
    found = []
    for query, label, probability in candidates:
        score = probability * masks[query].mean_probability
        if masks[query].area_px and score > score_threshold:
            found.append((score, label, masks[query]))
    found.sort(key=lambda row: -row[0])  # stable: equals stay in candidate order
    runs = tuple(mask.bits.runs(mask.bit) for _, _, mask in found)
    segments = tuple(
        Segment(id_, label, score, mask.area_px, box_of_runs(counts, hw))
        for id_, ((score, label, mask), counts) in enumerate(zip(found, runs, strict=True), 1)
    )
    id_map = _paint([mask for _, _, mask in found], hw)
    return Segmentation("instance", id_map, segments, runs)


@dataclass(frozen=True, eq=False)
class Bits:
    """Up to `BITS` masks of one picture, as runs of equal pixels, column by column.

    Attributes:
        starts: (R,) int64, where a run begins.
        words: (R,) uint32, bit n is mask n.
        total_px: of the picture.
    """

    starts: np.ndarray
    words: np.ndarray
    total_px: int

    @classmethod
    def of(cls, words: np.ndarray) -> "Bits":
        """Two passes over a (h, w) uint32 picture."""
        nothing = np.empty(0, np.int64), np.empty(0, np.uint32)
        count = find_runs(*nothing, words)
        starts, of_runs = np.empty(count, np.int64), np.empty(count, np.uint32)
        find_runs(starts, of_runs, words)
        return cls(starts, of_runs, words.size)

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
class Mask:
    """One query's own mask, at the picture's own size."""

    bits: Bits
    bit: int
    area_px: int
    mean_probability: float


def _paint(masks: list[Mask], hw: tuple[int, int]) -> np.ndarray:
    """(h, w) int32: where masks overlap, the first one's number, from 1 on."""
    id_map = np.zeros(hw, np.int32)
    for bits in dict.fromkeys(mask.bits for mask in masks):
        ids = np.zeros(BITS, np.int32)
        for id_, mask in reversed(list(enumerate(masks, 1))):
            if mask.bits is bits:
                ids[mask.bit] = id_
        paint_runs(id_map, bits.starts, bits.words, ids)
    return id_map


def list_candidates(
    best: np.ndarray, probabilities: np.ndarray, is_thing: np.ndarray, score_threshold: float
) -> list[Candidate]:
    """Name the pairs that may become segments, in their order.

    A score is at most its class probability, so what already fails the threshold here would
    fail it later.

    Args:
        best: (Q,) indices into the flattened (Q, K) class probabilities, best first, the lower of
            equals.
        probabilities: (Q,) float32, theirs.
        is_thing: (K,) bool.
        score_threshold: in [0, 1].
    """
    classes = len(is_thing)
    kept = is_thing[best % classes] & (probabilities > score_threshold)
    return [
        (pair // classes, pair % classes, probability)
        for pair, probability in zip(best[kept].tolist(), probabilities[kept].tolist(), strict=True)
    ]


def _masks(
    maps: np.ndarray, queries: list[int], geometry: Geometry, mask_threshold: float
) -> list[Mask]:
    """The masks of at most `BITS` queries."""
    words = np.zeros(geometry.original_hw, np.uint32)
    areas_px, sums = np.zeros(len(queries), np.int64), np.zeros(len(queries))
    least = np.nextafter(np.float32(mask_threshold), np.float32(1))
    which = np.array(queries, np.int32)
    fill_words(words, areas_px, sums, maps, which, least, *geometry.axes("output"))
    bits, means = Bits.of(words), (sums / np.maximum(1, areas_px)).tolist()
    return [Mask(bits, n, area_px, means[n]) for n, area_px in enumerate(areas_px.tolist())]
