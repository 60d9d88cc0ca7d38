"""Tiny annotated pictures for the tests of training."""

import numpy as np
import torch

from model.config import (
    ArchitectureConfig,
    ClassInfo,
    PixelDecoderConfig,
    PreprocessingConfig,
    ResNetConfig,
    Taxonomy,
    TransformerDecoderConfig,
)
from model.data.augment import AugmentConfig, CropPhase
from model.data.collate import Batch, Target
from model.data.example import Example, ExampleSegment
from model.training.config import TrainConfig
from model.training.criterion import CriterionConfig
from model.training.optimizer import OptimizerConfig

COLORS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


class Rectangles:
    """A source of pictures: coloured rectangles on grey, one class per colour, grey is void."""

    def __init__(self, count: int = 16, hw: tuple[int, int] = (64, 96)) -> None:
        self.count, self.hw = count, hw

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"picture {index}"

    def __getitem__(self, index: int) -> Example:
        rng = np.random.default_rng(index)
        image = np.full((*self.hw, 3), 128, np.uint8)
        ids = np.zeros(self.hw, np.int32)
        segments = []
        for class_index, color in enumerate(COLORS.values()):
            top, left = rng.integers(0, self.hw[0] - 24), rng.integers(0, self.hw[1] - 24)
            height, width = rng.integers(16, 24, 2)
            box = (slice(top, top + height), slice(left, left + width))
            image[box], ids[box] = color, class_index + 1
            segments.append(ExampleSegment(class_index + 1, class_index))
        return Example(image, ids, tuple(s for s in segments if (ids == s.id).any()))


def tiny_config(**changes: object) -> TrainConfig:
    """A run of seconds."""
    config = TrainConfig(
        name="tiny",
        taxonomy=Taxonomy(
            name="rectangles",
            classes=tuple(
                ClassInfo(name=name, category_id=i, is_thing=True, color=color)
                for i, (name, color) in enumerate(COLORS.items())
            ),
        ),
        architecture=ArchitectureConfig(
            num_classes=3,
            backbone=ResNetConfig(
                block="basic",
                blocks=(1, 1, 1, 1),
                stem_channels=8,
                inner_channels=(8, 8, 16, 16),
                out_channels=(8, 8, 16, 16),
                norm="batch_norm",
            ),
            pixel_decoder=PixelDecoderConfig(channels=16, mask_channels=16, norm_groups=4),
            transformer_decoder=TransformerDecoderConfig(
                queries=6, layers=2, hidden=16, heads=2, feed_forward=32, dropout=0.1
            ),
        ),
        preprocessing=PreprocessingConfig(shortest_edge_px=64),
        augmentation=AugmentConfig(phases=(CropPhase(crop_hw=(64, 64), scale=(0.8, 1.25)),)),
        criterion=CriterionConfig(pixels="sampled"),
        optimizer=OptimizerConfig(learning_rate=3e-3, backbone_multiplier=1.0, warmup_steps=2),
        steps=8,
        batch=2,
        ema_decay=0.9,
        workers=0,
        log_every_steps=1,
        checkpoint_every_s=0.0,
    )
    return config.model_copy(update=changes)


def batch_of(
    targets: list[Target], hw: tuple[int, int], valid: torch.Tensor | None = None
) -> Batch:
    """A batch without meaningful pixels."""
    if valid is None:
        valid = torch.ones(len(targets), *hw, dtype=torch.bool)
    names = tuple(f"picture {i}" for i in range(len(targets)))
    return Batch(torch.zeros(len(targets), 3, *hw), tuple(targets), valid, names)


def random_target(count: int, hw: tuple[int, int], classes: int, seed: int = 0) -> Target:
    """Random, possibly overlapping masks."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(count, *hw, generator=generator) > 0.7
    return Target(torch.randint(classes, (count,), generator=generator), masks)
