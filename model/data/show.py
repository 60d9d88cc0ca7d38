"""Annotated pictures for people."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from model.config import Taxonomy
from model.data.example import Example
from model.inference.encode.overlay import overlay
from model.inference.masks import box_of_mask
from model.structures import Segment, Segmentation


def as_segmentation(example: Example) -> Segmentation:
    """The annotation in the form of a panoptic answer."""
    segments = []
    for segment in sorted(example.segments, key=lambda segment: segment.id):
        mask = example.panoptic == segment.id
        area, box = int(mask.sum()), box_of_mask(mask)
        segments.append(Segment(segment.id, segment.class_index, None, area, box))
    return Segmentation("panoptic", example.panoptic, tuple(segments))


def shown(
    image: np.ndarray, segmentation: Segmentation, taxonomy: Taxonomy, names: bool = True
) -> Image.Image:
    """The picture with its segments painted over.

    Args:
        image: (h, w, 3) uint8.
        segmentation: of the picture.
        taxonomy: colours and names of the classes.
        names: whether class names are written.
    """
    colors = [info.color for info in taxonomy.classes]
    labels = [info.name for info in taxonomy.classes] if names else None
    return Image.open(io.BytesIO(overlay(image, segmentation, colors, labels)))


def shrink(example: Example, longest_px: int) -> Example:
    """The example with its longer side at most that long; tiny segments may vanish."""
    height, width = example.panoptic.shape
    scale = min(1, longest_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = np.array(Image.fromarray(example.image).resize(size, Image.Resampling.BOX))
    ids = np.array(Image.fromarray(example.panoptic).resize(size, Image.Resampling.NEAREST))
    present = set(np.unique(ids).tolist())
    return Example(image, ids, tuple(s for s in example.segments if s.id in present))


def sheet(pictures: Sequence[Image.Image], columns: int = 4, gap_px: int = 4) -> Image.Image:
    """Pictures side by side, row by row, on white; every cell as large as the largest of them."""
    wide = max(picture.width for picture in pictures) + gap_px
    tall = max(picture.height for picture in pictures) + gap_px
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * wide - gap_px, rows * tall - gap_px), "white")
    for place, picture in enumerate(pictures):
        page.paste(picture, (place % columns * wide, place // columns * tall))
    return page
