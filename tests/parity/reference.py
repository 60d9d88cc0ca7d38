"""The original implementation's numbers, and the preparation of its pictures."""

import json
import lzma
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

COMMITTED = Path(__file__).parents[1] / "data" / "original_panoptic_6enc"
# The encoder of the pixel decoder, which transformers' MaskFormer lacks.
KEPT = ("sem_seg_head.input_proj.", "sem_seg_head.transformer.encoder.")
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def write_committed_pickle(path: Path) -> Path:
    """A pickle in the original's release form: committed weights, and random ones elsewhere."""
    planes = np.frombuffer(lzma.decompress((COMMITTED / "weights.xz").read_bytes()), np.uint8)
    numbers = planes.reshape(4, -1).T.copy().view("<f4").ravel()
    shapes = json.loads((COMMITTED / "shapes.json").read_text(encoding="utf-8"))
    random, begin, arrays = np.random.default_rng(0), 0, {}
    for key, shape in shapes.items():
        size = int(np.prod(shape))
        if key.startswith(KEPT):
            arrays[key] = numbers[begin : begin + size].reshape(shape)
            begin += size
        else:
            arrays[key] = random.uniform(0.01, 0.1, shape).astype(np.float32)
    assert begin == len(numbers)
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "random"}, protocol=4))
    return path


def prepare(images: Sequence[np.ndarray], padded_hw: tuple[int, int]) -> Tensor:
    """(B, 3, H, W): normalised, then zero-padded at the right and bottom."""
    pixels = torch.zeros(len(images), 3, *padded_hw)
    for row, image in zip(pixels, images, strict=True):
        h, w = image.shape[:2]
        normalised = (torch.from_numpy(image).float() - torch.tensor(MEAN)) / torch.tensor(STD)
        row[:, :h, :w] = normalised.permute(2, 0, 1)
    return pixels
