"""The way from the mask logits' grid back to the picture, and the two activations."""

from dataclasses import dataclass

import numpy as np

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

    def to_input(self, enlarged_hw: tuple[int, int] | None = None) -> tuple[AxisMap, AxisMap]:
        """Rows and columns from logits to the resized picture, padding cut off.

        Args:
            enlarged_hw: the size that logits are enlarged to before the cut; by default the
                padded input's, which is not always 4 times theirs.
        """
        rows, columns = (
            identity(logits).resized(enlarged).cut(valid)
            for logits, enlarged, valid in zip(
                self.logits_hw, enlarged_hw or self.padded_hw, self.valid_hw, strict=True
            )
        )
        return rows, columns

    def to_output(self, enlarged_hw: tuple[int, int] | None = None) -> tuple[AxisMap, AxisMap]:
        """Rows and columns from logits to the picture's own size; see `to_input`."""
        rows, columns = self.to_input(enlarged_hw)
        return rows.resized(self.original_hw[0]), columns.resized(self.original_hw[1])

    def input_to_output(self) -> tuple[AxisMap, AxisMap]:
        """Rows and columns from the resized picture to the picture's own size."""
        rows, columns = (
            identity(valid).resized(original)
            for valid, original in zip(self.valid_hw, self.original_hw, strict=True)
        )
        return rows, columns


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, float32."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), np.float32)


def sigmoid_(logits: np.ndarray) -> np.ndarray:
    """Probabilities, written over the logits (float32); below about -88 they are 0."""
    np.negative(logits, out=logits)
    with np.errstate(over="ignore"):  # exp = inf gives the probability 0
        np.exp(logits, out=logits)
    logits += 1
    np.reciprocal(logits, out=logits)
    return logits
