"""Crops of different sizes -> one padded batch of tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.config import PreprocessingConfig
from model.data.dataset import Crop


@dataclass(frozen=True, eq=False)
class Target:
    """What the network shall find in one picture.

    Attributes:
        labels: (N,) int64 class indices; N may be 0.
        masks: (N, H, W) bool, False in the padding.
    """

    labels: Tensor
    masks: Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's worth of pictures.

    Attributes:
        pixels: (B, 3, H, W) float32, normalised, zero in the padding.
        targets: one per picture.
        valid: (B, H, W) bool; False in the padding, in void and in crowd regions.
        names: what to call each picture in a message.
    """

    pixels: Tensor
    targets: tuple[Target, ...]
    valid: Tensor
    names: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        targets = tuple(Target(t.labels.to(device), t.masks.to(device)) for t in self.targets)
        return Batch(self.pixels.to(device), targets, self.valid.to(device), self.names)


def collate(crops: Sequence[Crop], preprocessing: PreprocessingConfig) -> Batch:
    """Normalise and pad right and bottom to the largest crop, rounded up to `pad_to_px`.

    Args:
        crops: at least one.
        preprocessing: the numbers that the artifact will carry, so that training and serving
            normalise alike.

    Returns:
        The batch; crowd segments are no targets.
    """
    multiple = preprocessing.pad_to_px
    sizes = np.array([crop.example.panoptic.shape for crop in crops])
    height, width = (-(-sizes.max(0) // multiple) * multiple).tolist()
    pixels = torch.zeros(len(crops), 3, height, width)
    valid = torch.zeros(len(crops), height, width, dtype=torch.bool)
    mean = torch.tensor(preprocessing.mean).view(3, 1, 1)
    std = torch.tensor(preprocessing.std).view(3, 1, 1)
    targets = []
    for row, crop in enumerate(crops):
        h, w = crop.example.panoptic.shape
        image = torch.from_numpy(crop.example.image).permute(2, 0, 1)
        pixels[row, :, :h, :w] = (image - mean) / std
        segments = [s for s in crop.example.segments if not s.is_crowd]
        ids = torch.from_numpy(crop.example.panoptic)
        masks = torch.zeros(len(segments), height, width, dtype=torch.bool)
        wanted = torch.tensor([s.id for s in segments], dtype=torch.int32)
        masks[:, :h, :w] = ids == wanted[:, None, None]
        valid[row, :h, :w] = masks[:, :h, :w].any(0)
        targets.append(Target(torch.tensor([s.class_index for s in segments]).long(), masks))
    return Batch(pixels, tuple(targets), valid, tuple(crop.name for crop in crops))
