"""Scores as pictures: the confusion of classes, and the answers that went worst."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model.config import Taxonomy
from model.data.example import Example
from model.data.show import as_segmentation, sheet, shown
from model.structures import Segmentation

_LARGEST_PX, _SMALLEST_PX, _PAGE_PX = 36, 3, 1400
_LEGIBLE_PX = 14  # cells below that have no names
_DARK, _LIGHT = np.array([12, 52, 110]), np.array([255, 255, 255])


def confusion_picture(confusion: NDArray[np.int64], names: Sequence[str]) -> Image.Image:
    """A square per pair of classes: rows true, columns predicted, dark = a large share of the row.

    Args:
        confusion: (K+1, K+1) as of `count_pixels`: rows predicted, columns true, last void.
        names: of the K classes; written where there is room.
    """
    counts = confusion[:-1, :-1].T.astype(np.float64)  # (K true, K predicted)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cell = max(_SMALLEST_PX, min(_LARGEST_PX, _PAGE_PX // len(names)))
    colors = _LIGHT + shares[..., None] * (_DARK - _LIGHT)
    grid = Image.fromarray(np.kron(colors, np.ones((cell, cell, 1))).round().astype(np.uint8))
    if cell < _LEGIBLE_PX:
        return grid
    font = ImageFont.load_default(min(14, cell - 3))
    margin = 10 + max(round(font.getlength(name)) for name in names)
    page = Image.new("RGB", (margin + grid.width + 10, margin + grid.height + 10), "white")
    page.paste(grid, (margin, margin))
    _write_names(page, names, font, margin, cell)
    if cell == _LARGEST_PX:
        _write_shares(page, shares, margin, cell)
    return page


def comparison(example: Example, answer: Segmentation, taxonomy: Taxonomy) -> Image.Image:
    """The picture, its truth and the answer side by side."""
    truth = shown(example.image, as_segmentation(example), taxonomy)
    return sheet([Image.fromarray(example.image), truth, shown(example.image, answer, taxonomy)])


def _write_names(
    page: Image.Image,
    names: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    margin: int,
    cell: int,
) -> None:
    """True classes left of their rows, predicted ones upright above their columns."""
    draw = ImageDraw.Draw(page)
    for place, name in enumerate(names):
        middle = margin + place * cell + cell // 2
        draw.text((margin - 5, middle), name, "black", font, anchor="rm")
        strip = Image.new("RGB", (margin, cell), "white")
        ImageDraw.Draw(strip).text((5, cell // 2), name, "black", font, anchor="lm")
        page.paste(strip.transpose(Image.Transpose.ROTATE_90), (middle - cell // 2, 0))


def _write_shares(page: Image.Image, shares: NDArray[np.float64], margin: int, cell: int) -> None:
    """Percent in every square of at least one percent."""
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for row, column in np.argwhere(shares >= 0.01).tolist():
        share = shares[row, column]
        x, y = (margin + place * cell + cell // 2 for place in (column, row))
        color = "white" if share > 0.5 else "black"
        draw.text((x, y), f"{100 * share:.0f}", color, font, anchor="mm")
