"""AdamW with the paper's parameter groups, and its learning-rate schedule.

Source: arXiv 2107.06278, section 4.1 and appendix A.
"""

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import nn

from model.config import Frozen

_NORMS = (nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._NormBase)
# Tables added to or looked up by position; like embeddings they are not decayed.
_TABLES = ("relative_position_bias_table", "absolute_pos_embed")


class OptimizerConfig(Frozen):
    """How weights move.

    Attributes:
        learning_rate: of all parameters at the schedule's height.
        backbone_multiplier: of the backbone's learning rate (0.1 for a pretrained ResNet).
        weight_decay: of matrices, convolutions and biases; norms and embeddings have none.
        clip_norm: largest norm of the whole gradient.
        warmup_steps: of linear rise from `warmup_factor`.
        warmup_factor: of the learning rate at step 0 where there is a warm-up.
        power: of the polynomial decay to 0.
        steps_at: step boundaries at which the rate falls to a tenth, instead of the polynomial.
    """

    learning_rate: float = Field(default=1e-4, gt=0)
    backbone_multiplier: float = Field(default=0.1, ge=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    clip_norm: float = Field(default=0.01, gt=0)
    warmup_steps: int = Field(default=0, ge=0)
    warmup_factor: float = Field(default=1e-6, ge=0, le=1)
    power: float = Field(default=0.9, ge=0)
    steps_at: tuple[int, ...] = ()


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over every trainable parameter, one group per (rate, decay) pair."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter, decays in _parameters(network):
        multiplier = config.backbone_multiplier if name.startswith("backbone.") else 1.0
        decay = config.weight_decay if decays else 0.0
        groups.setdefault((multiplier, decay), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": decay, "multiplier": multiplier}
        for (multiplier, decay), parameters in groups.items()
    ]
    return torch.optim.AdamW(options, lr=config.learning_rate, betas=(0.9, 0.999), fused=True)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, step: int, steps: int
) -> float:
    """Give every group its rate for `step` of `steps`, and return that of multiplier 1."""
    rate = config.learning_rate * schedule(config, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]
    return rate


def schedule(config: OptimizerConfig, step: int, steps: int) -> float:
    """Factor on the learning rate at `step`, counted from 0."""
    if config.steps_at:
        factor = 0.1 ** sum(step >= boundary for boundary in config.steps_at)
    else:
        factor = max(0.0, 1 - step / steps) ** config.power
    if step < config.warmup_steps:
        done = step / config.warmup_steps
        factor *= config.warmup_factor * (1 - done) + done
    return factor


def _parameters(network: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Every trainable parameter once: name, value, whether weight decay applies."""
    seen: set[nn.Parameter] = set()
    for prefix, module in network.named_modules():
        exempt = isinstance(module, (*_NORMS, nn.Embedding))
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                full_name = f"{prefix}.{name}" if prefix else name
                yield full_name, parameter, not (exempt or name in _TABLES)
