"""The values that travel between the stages of inference, and the dimension key.

Dimension key, the same letters in docstrings, line-end comments and einsum strings:

    B images       Q queries      K classes without no-object      N targets of one image
    H W padded input, in pixels   h w valid or original, in pixels
    D hidden       C channels     P points or pixels
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Mode = Literal["panoptic", "semantic", "instance"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, eq=False)
class Sample:
    """One prepared picture: what the network sees, and how to find the way back.

    Attributes:
        pixels: (3, H, W) float32 RGB, resized, normalised, zero-padded right and bottom.
        valid_hw: height and width of the resized picture inside the padding.
        original_hw: height and width of the decoded picture, after its EXIF orientation.
    """

    pixels: np.ndarray
    valid_hw: tuple[int, int]
    original_hw: tuple[int, int]

    @property
    def padded_hw(self) -> tuple[int, int]:
        """Height and width that the network sees; only equal ones share a batch."""
        return self.pixels.shape[1], self.pixels.shape[2]


@dataclass(frozen=True, eq=False)
class RawOutput:
    """What the network says of one picture, before any post-processing.

    Attributes:
        class_logits: (Q, K+1) float32, no-object last; None for the per-pixel baselines,
            whose `mask_logits` are K class maps instead of Q masks.
        mask_logits: (Q, ceil(H/4), ceil(W/4)) float32, before the sigmoid.
    """

    class_logits: np.ndarray | None
    mask_logits: np.ndarray


@dataclass(frozen=True)
class Segment:
    """One region of the answer.

    Attributes:
        id: this segment's value in `Segmentation.id_map`, from 1 on.
        class_index: contiguous index of the class, as the network counts (not the data set's id).
        score: probability in [0, 1]; None in semantic mode, which has no segment score.
        area_px: number of pixels of the segment's own mask.
        bbox_xywh: left, top, width, height in pixels.
    """

    id: int
    class_index: int
    score: float | None
    area_px: int
    bbox_xywh: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The answer for one picture, at the picture's own size.

    Attributes:
        mode: which question was answered.
        id_map: (h, w) int32, segment id per pixel, 0 = void. Semantic: class index + 1.
            Instance: overlapping masks painted in the order of ascending score.
        segments: one row per id. Panoptic and semantic: exactly the ids in `id_map`, ascending.
            Instance: descending score; a row may be hidden in `id_map` by better ones.
        instance_runs: instance mode only, one (R,) int64 array of COCO run lengths (column-major,
            zeros first) per segment, because masks may overlap; None in the other modes.
    """

    mode: Mode
    id_map: np.ndarray
    segments: tuple[Segment, ...]
    instance_runs: tuple[np.ndarray, ...] | None = None

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the picture, in pixels."""
        return self.id_map.shape[0], self.id_map.shape[1]
