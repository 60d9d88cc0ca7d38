"""Random scales, crops, colours and flips of one training picture, and padding."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, PositiveFloat, model_validator

from model.config import Frozen, PositiveInt
from model.data.color_jitter import jitter_colors
from model.data.example import Example

# Luma weights of ITU-R BT.601, as in Pillow's conversion to grey.
_GREY = np.array([0.299, 0.587, 0.114])
# Colour of padding, before normalisation. Source: the paper's recipes.
_PADDING = 128
# Places tried for a crop whose commonest class covers too much of it; the last one is taken.
_CROP_TRIES = 10


class PreCrop(Frozen):
    """A first resize and crop before the phase's own, as DETR's recipe for COCO.

    Attributes:
        probability: of taking it.
        short_sides_px: the picture's shorter side is drawn from these.
        crop_px: smallest and largest side of the crop, drawn for height and width apart.
    """

    probability: float = Field(default=0.5, ge=0, le=1)
    short_sides_px: tuple[PositiveInt, ...] = Field(default=(400, 500, 600), min_length=1)
    crop_px: tuple[PositiveInt, PositiveInt] = (384, 600)


class CropPhase(Frozen):
    """Size of the crops from some step on.

    Attributes:
        from_step: first optimizer step of the phase.
        crop_hw: largest height and width of a crop, in pixels.
        scale: smallest and largest factor on the picture's size; drawn log-uniformly.
        short_sides_px: where given, the picture's shorter side is drawn from these instead.
        longest_edge_px: limit of the longer side then.
        category_limit: largest share of a crop's labelled pixels that one class may have; of ten
            places the first that keeps it is taken. 1 accepts every place.
        pre_crop: taken before all that; None takes none.
        pad: whether a crop that came out smaller is padded to `crop_hw` with grey and void.
    """

    from_step: int = Field(default=0, ge=0)
    crop_hw: tuple[PositiveInt, PositiveInt] = (512, 512)
    scale: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    short_sides_px: tuple[PositiveInt, ...] = ()
    longest_edge_px: PositiveInt | None = None
    category_limit: float = Field(default=1.0, gt=0, le=1)
    pre_crop: PreCrop | None = None
    pad: bool = False


class AugmentConfig(Frozen):
    """How a training crop is drawn.

    Attributes:
        phases: ascending in `from_step`, beginning at 0.
        flip_probability: of a horizontal flip.
        colors: `affine` changes brightness, contrast and saturation in one step, always; `ssd`
            changes each in half of the cases, and the hue, as the paper does.
        brightness: largest shift, on the 0-255 scale, up or down.
        contrast: largest relative change of the distance to the mean grey (`ssd`: to black).
        saturation: largest relative change of the distance to each pixel's grey.
        hue_degrees: largest turn of the hue; only `ssd` turns it.
        min_segment_px: segments with fewer pixels left in the crop become void.
    """

    phases: tuple[CropPhase, ...] = Field(default=(CropPhase(),), min_length=1)
    flip_probability: float = Field(default=0.5, ge=0, le=1)
    colors: Literal["affine", "ssd"] = "affine"
    brightness: float = Field(default=32.0, ge=0)
    contrast: float = Field(default=0.5, ge=0, lt=1)
    saturation: float = Field(default=0.5, ge=0, lt=1)
    hue_degrees: float = Field(default=36.0, ge=0, le=180)
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
    image = _recolour(image, rng, config)
    if phase.pad:
        image, ids = _pad(image, phase.crop_hw, _PADDING), _pad(ids, phase.crop_hw, 0)
    return _keep_visible(image, ids, example, config.min_segment_px)


def _scale_and_crop(
    example: Example, rng: np.random.Generator, phase: CropPhase
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Resize only the part of the picture that the crop will show."""
    y, x, height, width = _first_crop(example.panoptic.shape, rng, phase.pre_crop)
    scale = _draw_scale(min(height, width), max(height, width), rng, phase)
    part_h, part_w = (
        min(c / scale, s) for c, s in zip(phase.crop_hw, (height, width), strict=True)
    )
    out_wh = max(1, round(part_w * scale)), max(1, round(part_h * scale))
    for _ in range(_CROP_TRIES):
        top, left = y + rng.uniform(0, height - part_h), x + rng.uniform(0, width - part_w)
        box = (left, top, left + part_w, top + part_h)
        if _is_varied(example, box, phase.category_limit):
            break
    image = Image.fromarray(example.image).resize(out_wh, Image.Resampling.BILINEAR, box)
    ids = Image.fromarray(example.panoptic).resize(out_wh, Image.Resampling.NEAREST, box)
    return np.asarray(image), np.asarray(ids)


def _first_crop(
    hw: tuple[int, ...], rng: np.random.Generator, pre_crop: PreCrop | None
) -> tuple[float, float, float, float]:
    """Top, left, height and width of the part that the phase draws its crop from."""
    height, width = hw
    if pre_crop is None or rng.random() >= pre_crop.probability:
        return 0, 0, height, width
    scale = rng.choice(pre_crop.short_sides_px) / min(hw)
    least, most = (side / scale for side in pre_crop.crop_px)
    part_h, part_w = (rng.uniform(min(least, side), min(most, side)) for side in hw)
    return rng.uniform(0, height - part_h), rng.uniform(0, width - part_w), part_h, part_w


def _draw_scale(shorter: float, longer: float, rng: np.random.Generator, phase: CropPhase) -> float:
    """Factor on the picture's size."""
    if not phase.short_sides_px:
        return float(np.exp(rng.uniform(*np.log(phase.scale))))
    scale = float(rng.choice(phase.short_sides_px)) / shorter
    return min(scale, (phase.longest_edge_px or np.inf) / longer)


def _is_varied(
    example: Example, box: tuple[float, float, float, float], category_limit: float
) -> bool:
    """Whether no class covers more of the box's labelled pixels than its share."""
    if category_limit == 1:
        return True
    left, top, right, bottom = (int(side) for side in box)
    areas = np.bincount(example.panoptic[top : bottom + 1, left : right + 1].ravel())
    by_class: dict[int, int] = {}
    for segment in example.segments:
        if segment.id < len(areas):
            pixels = by_class.get(segment.class_index, 0) + int(areas[segment.id])
            by_class[segment.class_index] = pixels
    return max(by_class.values(), default=0) <= category_limit * sum(by_class.values())


def _pad(values: NDArray[Any], hw: tuple[int, int], fill: int) -> NDArray[Any]:
    """Grow right and bottom to `hw`."""
    rows, columns = (side - have for side, have in zip(hw, values.shape, strict=False))
    widths = [(0, rows), (0, columns), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, widths, constant_values=fill)


def _recolour(
    image: NDArray[np.uint8], rng: np.random.Generator, config: AugmentConfig
) -> NDArray[np.uint8]:
    """SSD's jitter; or saturation, contrast, then brightness as one affine map of the colours."""
    if config.colors == "ssd":
        return jitter_colors(
            image,
            rng,
            brightness=config.brightness,
            contrast=config.contrast,
            saturation=config.saturation,
            hue_degrees=config.hue_degrees,
        )
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
