"""Random flips, scales, crops and colours of one training picture."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, PositiveFloat, model_validator

from model.config import Frozen, PositiveInt
from model.data.example import Example

# Luma weights of ITU-R BT.601, as in Pillow's conversion to grey.
_GREY = np.array([0.299, 0.587, 0.114])


class CropPhase(Frozen):
    """Size of the crops from some step on.

    Attributes:
        from_step: first optimizer step of the phase.
        crop_hw: largest height and width of a crop, in pixels.
        scale: smallest and largest factor on the picture's size; drawn log-uniformly.
    """

    from_step: int = Field(default=0, ge=0)
    crop_hw: tuple[PositiveInt, PositiveInt] = (512, 512)
    scale: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)


class AugmentConfig(Frozen):
    """How a training crop is drawn.

    Attributes:
        phases: ascending in `from_step`, beginning at 0.
        flip_probability: of a horizontal flip.
        brightness: largest shift, on the 0-255 scale, up or down.
        contrast: largest relative change of the distance to the mean grey.
        saturation: largest relative change of the distance to each pixel's grey.
        min_segment_px: segments with fewer pixels left in the crop become void.
    """

    phases: tuple[CropPhase, ...] = Field(default=(CropPhase(),), min_length=1)
    flip_probability: float = Field(default=0.5, ge=0, le=1)
    brightness: float = Field(default=32.0, ge=0)
    contrast: float = Field(default=0.5, ge=0, lt=1)
    saturation: float = Field(default=0.5, ge=0, lt=1)
    min_segment_px: PositiveInt = 1

    @model_validator(mode="after")
    def _check(self) -> "AugmentConfig":
        starts = [phase.from_step for phase in self.phases]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(f"expected phases that ascend from step 0, got {starts}")
        return self

    def phase_at(self, step: int) -> CropPhase:
        """The phase that `step` belongs to."""
        return [phase for phase in self.phases if phase.from_step <= step][-1]


def augment(
    example: Example, rng: np.random.Generator, phase: CropPhase, config: AugmentConfig
) -> Example:
    """Draw one crop; the same `rng` state gives the same crop.

    Args:
        example: the whole picture.
        rng: source of every choice.
        phase: size and scale of the crop; it is smaller where the scaled picture is smaller.
        config: the ranges of the other choices.

    Returns:
        The crop, whose segments are those that still have `min_segment_px` pixels; the others'
        pixels are void, because an empty target would teach a query to answer with nothing.
    """
    image, ids = _scale_and_crop(example, rng, phase)
    if rng.random() < config.flip_probability:
        image, ids = image[:, ::-1], ids[:, ::-1]
    return _keep_visible(_recolour(image, rng, config), ids, example, config.min_segment_px)


def _scale_and_crop(
    example: Example, rng: np.random.Generator, phase: CropPhase
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Resize only the part of the picture that the crop will show."""
    scale = float(np.exp(rng.uniform(*np.log(phase.scale))))
    height, width = example.panoptic.shape
    part_h, part_w = (
        min(c / scale, s) for c, s in zip(phase.crop_hw, (height, width), strict=True)
    )
    out_wh = max(1, round(part_w * scale)), max(1, round(part_h * scale))
    top, left = rng.uniform(0, height - part_h), rng.uniform(0, width - part_w)
    box = (left, top, left + part_w, top + part_h)
    image = Image.fromarray(example.image).resize(out_wh, Image.Resampling.BILINEAR, box)
    ids = Image.fromarray(example.panoptic).resize(out_wh, Image.Resampling.NEAREST, box)
    return np.asarray(image), np.asarray(ids)


def _recolour(
    image: NDArray[np.uint8], rng: np.random.Generator, config: AugmentConfig
) -> NDArray[np.uint8]:
    """Saturation, contrast, then brightness, as one affine map of the colours."""
    saturation = 1 + config.saturation * rng.uniform(-1, 1)
    contrast = 1 + config.contrast * rng.uniform(-1, 1)
    shift = config.brightness * rng.uniform(-1, 1)
    mean_grey = float(image.mean((0, 1)) @ _GREY)
    colours = contrast * (saturation * np.eye(3) + (1 - saturation) * _GREY)  # rows sum to 1
    offset = np.full((3, 1), (1 - contrast) * mean_grey + shift)
    matrix = tuple(np.hstack([colours, offset]).ravel().tolist())
    return np.asarray(Image.fromarray(image).convert("RGB", matrix))


def _keep_visible(
    image: NDArray[np.uint8], ids: NDArray[np.int32], whole: Example, min_segment_px: int
) -> Example:
    areas = np.bincount(ids.ravel(), minlength=1)
    visible = tuple(
        s for s in whole.segments if s.id < len(areas) and areas[s.id] >= min_segment_px
    )
    new_id = np.zeros(len(areas), np.int32)
    for segment in visible:
        new_id[segment.id] = segment.id
    return Example(image.copy(), new_id[ids], visible)
