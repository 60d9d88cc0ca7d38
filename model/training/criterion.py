"""From the network's layers and the targets to one number to minimise, and its parts."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from model.config import Frozen
from model.data.collate import Batch
from model.network.output import NetworkOutput
from model.training.distributed import mean_per_process
from model.training.losses import (
    LossWeights,
    class_losses,
    dice_losses,
    focal_losses,
    per_pixel_losses,
)
from model.training.matcher import Matches, match


class CriterionConfig(Frozen):
    """How the losses are computed.

    Attributes:
        weights: of the losses and of the matching costs.
        pixels: `all` compares masks at every padded input pixel (the original); `sampled` at one
            random pixel of every block, the same for all masks of a step: an unbiased estimate
            whose time and memory are smaller by the block's area.
        block_px: side of those blocks.
        match_every: matching compares every so many-th row and column of the predicted masks.
        ignore_void: whether padding, void and crowd regions count for nothing, in losses and
            matching; False counts them as background, as the original does.
    """

    weights: LossWeights = LossWeights()
    pixels: Literal["all", "sampled"] = "all"
    block_px: int = Field(default=4, ge=1)
    match_every: int = Field(default=1, ge=1)
    ignore_void: bool = False


@dataclass(frozen=True, eq=False)
class Losses:
    """What one batch costs.

    Attributes:
        total: scalar, weighted sum over terms and layers; the thing to differentiate.
        terms: unweighted (L,) values by name: `class`, `mask`, `dice`, or `pixel` for the
            per-pixel baselines; the last layer is final.
    """

    total: Tensor
    terms: dict[str, Tensor]


def compute_losses(output: NetworkOutput, batch: Batch, config: CriterionConfig) -> Losses:
    """The losses of the network's kind: of matched masks, or per pixel for the baselines.

    Args:
        output: of all decoder layers; the masks' padded size H, W need not be 4 h, 4 w.
        batch: the targets.
        config: see there. `sampled` draws from torch's global generator.

    Raises:
        TrainingError: a picture's matching costs hold no finite number.
    """
    if output.class_logits is None:
        terms = {"pixel": per_pixel_losses(output.mask_logits, label_map(batch))}
        factors = {"pixel": 1.0}
    else:
        terms = _mask_terms(output.class_logits, output.mask_logits, batch, config)
        weights = config.weights
        factors = {"class": weights.classification, "mask": weights.mask, "dice": weights.dice}
    total = torch.stack([factors[name] * term.sum() for name, term in terms.items()]).sum()
    return Losses(total, {name: term.detach() for name, term in terms.items()})


def label_map(batch: Batch) -> Tensor:
    """(B, H, W) int64 class index per pixel, -1 where no target is."""
    labels = torch.full(batch.valid.shape, -1, device=batch.valid.device)
    for row, target in zip(labels, batch.targets, strict=True):
        for label, mask in zip(target.labels, target.masks, strict=True):
            row[mask] = label
    return labels


def _mask_terms(
    class_logits: Tensor, mask_logits: Tensor, batch: Batch, config: CriterionConfig
) -> dict[str, Tensor]:
    """Match every layer anew, then take its three losses."""
    valid = batch.valid if config.ignore_void else None
    matches = match(
        class_logits, mask_logits, batch.targets, config.weights, valid, config.match_every
    )
    terms = {"class": _class_term(class_logits, batch, matches, config.weights.no_object)}
    count = sum(len(target.labels) for target in batch.targets)
    num_masks = mean_per_process(float(count), class_logits.device).clamp(min=1)
    logits, truth, counted = _matched_pixels(mask_logits, batch, matches, config)
    zeros = class_logits.new_zeros(len(class_logits), dtype=torch.float32)
    for name, losses_of in (("mask", focal_losses), ("dice", dice_losses)):
        each = losses_of(logits, truth, counted)  # (R,)
        terms[name] = zeros.index_add(0, matches.layer, each) / num_masks
    return terms


def _class_term(
    class_logits: Tensor, batch: Batch, matches: Matches, no_object_weight: float
) -> Tensor:
    no_object = class_logits.shape[-1] - 1
    labels = torch.full(class_logits.shape[:3], no_object, device=class_logits.device)
    true_labels = torch.cat([t.labels for t in batch.targets])
    labels[matches.layer, matches.image, matches.query] = true_labels[matches.target]
    return class_losses(class_logits, labels, no_object_weight)


def _matched_pixels(
    mask_logits: Tensor, batch: Batch, matches: Matches, config: CriterionConfig
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits, truth and counted pixels of the matched pairs: (R, P) float32 each."""
    matched = mask_logits[matches.layer, matches.image, matches.query].float()  # (R, h, w)
    masks = torch.cat([t.masks for t in batch.targets])  # (M, H, W)
    hw = (masks.shape[1], masks.shape[2])
    if config.pixels == "all":
        logits = F.interpolate(matched[:, None], hw, mode="bilinear", align_corners=False)
        logits, truth, valid = logits.flatten(1), masks.flatten(1), batch.valid.flatten(1)
    else:
        rows, columns = sample_pixels(hw, config.block_px, masks.device)
        logits = enlarged_at(matched, rows, columns, hw)
        truth, valid = masks[:, rows, columns], batch.valid[:, rows, columns]
    counted = valid.float()[matches.image] if config.ignore_void else None
    return logits, truth.float()[matches.target], counted


def sample_pixels(
    hw: tuple[int, int], block_px: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Rows and columns (P,) of one random pixel of every `block_px` square block of a picture."""
    corners = [torch.arange(0, side, block_px, device=device) for side in hw]
    grid = torch.meshgrid(*corners, indexing="ij")
    rows, columns = (
        torch.minimum(first + torch.randint(block_px, first.shape, device=device), last)
        for first, last in zip(grid, (torch.tensor(s - 1, device=device) for s in hw), strict=True)
    )
    return rows.flatten(), columns.flatten()


def enlarged_at(logits: Tensor, rows: Tensor, columns: Tensor, hw: tuple[int, int]) -> Tensor:
    """Values at some pixels of the bilinear enlargement to `hw`, without the enlargement.

    Args:
        logits: (R, h, w) float32.
        rows: (P,) int64, pixels of the enlarged picture.
        columns: (P,) int64.
        hw: its size in pixels.

    Returns:
        (R, P), equal to `interpolate(logits, hw, mode="bilinear", align_corners=False)` there.
    """
    places = torch.stack([(columns + 0.5) / hw[1], (rows + 0.5) / hw[0]], -1) * 2 - 1  # (P, 2) x, y
    sampled = F.grid_sample(
        logits[None], places[None, :, None].float(), padding_mode="border", align_corners=False
    )
    return sampled[0, :, :, 0]
