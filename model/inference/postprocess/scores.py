"""The scores of all classes at single pixels, where windows that overlap must be weighed."""

import numpy as np

from model.config import ScoresAt
from model.inference.postprocess.finite import check_finite_maps
from model.inference.postprocess.geometry import Geometry, softmax
from model.inference.postprocess.points import values_at
from model.structures import RawOutput, Sample


class ClassScores:
    """What `semantic` compares, at pixels of one's choice; nothing is computed before.

    Args:
        raw: of a baseline too, whose class maps are the scores.
        sample: the prepared picture; only its sizes are read.
        scores_at: see `semantic`.

    Raises:
        EngineError: a mask logit is not finite; all take part.
    """

    def __init__(self, raw: RawOutput, sample: Sample, scores_at: ScoresAt) -> None:
        geometry = Geometry.of(raw.mask_logits.shape, sample)
        self._maps = np.ascontiguousarray(raw.mask_logits)
        check_finite_maps(self._maps, np.arange(len(self._maps), dtype=np.int32))
        self._activate = raw.class_logits is not None
        if raw.class_logits is None:
            self._axes = geometry.class_map_axes()
            self._weights = np.eye(len(self._maps), dtype=np.float32)
        else:
            self._axes = geometry.axes(scores_at)
            self._weights = np.ascontiguousarray(softmax(raw.class_logits)[:, :-1])

    @property
    def classes(self) -> int:
        """K."""
        return int(self._weights.shape[1])

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Compute the scores of pixels.

        Args:
            positions: (P,) int64, ascending, P >= 1, in the flattened answer.

        Returns:
            (P, K) float32.
        """
        values = np.empty((len(self._maps), len(positions)), np.float32)
        values_at(values, positions, self._maps, *self._axes, self._activate)
        return values.T @ self._weights if self._activate else values.T
