"""The ways from the mask logits' grid back to the picture, and the softmax."""

from dataclasses import dataclass

import numpy as np

from model.config import ScoresAt
from model.inference.postprocess.blocks import Axis, Field
from model.inference.resize import AxisMap, identity
from model.structures import Sample


@dataclass(frozen=True, eq=False)
class Geometry:
    """The sizes that one answer passes through.

    Attributes:
        logits_hw: of the mask logits, stride 4.
        padded_hw: what the network saw.
        valid_hw: the resized picture inside it.
        original_hw: the decoded picture, which the answer has.
    """

    logits_hw: tuple[int, int]
    padded_hw: tuple[int, int]
    valid_hw: tuple[int, int]
    original_hw: tuple[int, int]

    @classmethod
    def of(cls, mask_logits: np.ndarray, sample: Sample) -> "Geometry":
        """The sizes of `mask_logits` (Q, ceil(H/4), ceil(W/4)) and of its sample."""
        height, width = mask_logits.shape[1:]
        return cls((height, width), sample.padded_hw, sample.valid_hw, sample.original_hw)

    def probabilities(self, mask_logits: np.ndarray, at: ScoresAt) -> Field:
        """Mask probabilities of the answer's pixels.

        Args:
            mask_logits: (N, logits height, logits width) float32.
            at: where the sigmoid is taken: at the padded input's size, at the answer's, or on the
                logits as they are.
        """
        if at == "input":
            first, second = self._to_input(self.padded_hw), self._input_to_output()
        elif at == "output":
            first, second = self._to_output(self.padded_hw), _unchanged(self.original_hw)
        else:
            first, second = _unchanged(self.logits_hw), self._to_output(self.padded_hw)
        return _field(mask_logits, first, second, activate=True)

    def class_maps(self, class_maps: np.ndarray) -> Field:
        """A baseline's maps at the answer's pixels, enlarged by exactly 4 before the cut."""
        height, width = self.logits_hw
        way = self._to_output((4 * height, 4 * width))
        return _field(class_maps, way, _unchanged(self.original_hw), activate=False)

    def _to_input(self, enlarged_hw: tuple[int, int]) -> list[AxisMap]:
        """Rows and columns from logits to the resized picture, padding cut off."""
        return [
            identity(logits).resized(enlarged).cut(valid)
            for logits, enlarged, valid in zip(
                self.logits_hw, enlarged_hw, self.valid_hw, strict=True
            )
        ]

    def _input_to_output(self) -> list[AxisMap]:
        return [
            way.resized(original)
            for way, original in zip(_unchanged(self.valid_hw), self.original_hw, strict=True)
        ]

    def _to_output(self, enlarged_hw: tuple[int, int]) -> list[AxisMap]:
        return [
            way.resized(original)
            for way, original in zip(self._to_input(enlarged_hw), self.original_hw, strict=True)
        ]


def _unchanged(hw: tuple[int, int]) -> list[AxisMap]:
    return [identity(length) for length in hw]


def _field(
    maps: np.ndarray, first: list[AxisMap], second: list[AxisMap], *, activate: bool
) -> Field:
    rows, columns = (Axis.of(*ways) for ways in zip(first, second, strict=True))
    return Field(maps, rows, columns, activate=activate)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, float32."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), np.float32)
