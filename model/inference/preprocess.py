"""A decoded picture -> what the network sees: resized, normalised, padded.

The padded size is a pure function of the picture and the artifact. Nothing later pads further,
so a picture's answer cannot depend on what else is in its batch.
"""

import numpy as np
from PIL import Image

from model.config import PreprocessingConfig
from model.structures import Sample


def preprocess(image: np.ndarray, config: PreprocessingConfig) -> Sample:
    """Prepare one picture.

    Resizing is Pillow's antialiased bilinear filter on uint8, which is what the published weights
    were trained and scored with; other resizers give visibly different logits. Padding is zero
    after normalisation, right and bottom.

    Args:
        image: (h, w, 3) uint8 RGB, from `decode`.
        config: the artifact's numbers.
    """
    height, width = image.shape[:2]
    valid_hw = resized_hw((height, width), config)
    resized = image
    if valid_hw != (height, width):
        target_wh = valid_hw[1], valid_hw[0]
        resized = np.asarray(Image.fromarray(image).resize(target_wh, Image.Resampling.BILINEAR))
    pixels = np.zeros((3, *padded_hw((height, width), config)), np.float32)
    for channel, (mean, std) in enumerate(zip(config.mean, config.std, strict=True)):
        inside = pixels[channel, : valid_hw[0], : valid_hw[1]]
        np.subtract(resized[..., channel], np.float32(mean), out=inside, dtype=np.float32)
        inside /= np.float32(std)
    return Sample(pixels, valid_hw, (height, width))


def resized_hw(hw: tuple[int, int], config: PreprocessingConfig) -> tuple[int, int]:
    """Height and width after resizing: shortest edge to its target, longest edge within its limit.

    Rounds half up; no side falls below 1 px, however thin the picture.
    """
    height, width = float(hw[0]), float(hw[1])
    if config.shortest_edge_px is not None:
        # The shorter side is set, not scaled: scaling can miss the target by rounding.
        scale = config.shortest_edge_px / min(hw)
        if height < width:
            height, width = float(config.shortest_edge_px), scale * width
        else:
            height, width = scale * height, float(config.shortest_edge_px)
    if max(height, width) > config.longest_edge_px:
        scale = config.longest_edge_px / max(height, width)
        height, width = height * scale, width * scale
    return max(1, int(height + 0.5)), max(1, int(width + 0.5))


def padded_hw(hw: tuple[int, int], config: PreprocessingConfig) -> tuple[int, int]:
    """Height and width that the network sees for a picture of `hw` pixels."""
    height, width = resized_hw(hw, config)
    step = config.pad_to_px
    return -(-height // step) * step, -(-width // step) * step
