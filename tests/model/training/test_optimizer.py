import pytest
import torch
from torch import nn

from model.network.maskformer import build_network
from model.training.optimizer import (
    OptimizerConfig,
    build_optimizer,
    schedule,
    set_learning_rate,
)
from tests.model.training.pictures import tiny_config


def test_every_parameter_is_in_one_group_with_its_rate_and_decay() -> None:
    network = build_network(tiny_config().architecture)
    config = OptimizerConfig(learning_rate=1e-4, backbone_multiplier=0.1, weight_decay=0.05)
    optimizer = build_optimizer(network, config)
    set_learning_rate(optimizer, config, 0, 10)
    found = {
        parameter: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    exempt = {
        parameter
        for module in network.modules()
        if isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d, nn.Embedding))
        for parameter in module.parameters(recurse=False)
    }
    assert exempt
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(found)
    for name, parameter in network.named_parameters():
        rate = 1e-5 if name.startswith("backbone.") else 1e-4
        assert found[parameter] == (pytest.approx(rate), 0 if parameter in exempt else 0.05), name


def test_query_embedding_has_no_decay() -> None:
    network = build_network(tiny_config().architecture)
    queries = [p for n, p in network.named_parameters() if "query_embed" in n]
    optimizer = build_optimizer(network, OptimizerConfig())
    exempt = {p for g in optimizer.param_groups if g["weight_decay"] == 0 for p in g["params"]}
    assert queries and set(queries) <= exempt


def test_frozen_parameters_are_left_out() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    optimizer = build_optimizer(network, OptimizerConfig())
    assert sum(len(g["params"]) for g in optimizer.param_groups) == 2


def test_polynomial_schedule_falls_from_one_to_zero() -> None:
    config = OptimizerConfig(power=0.9)
    factors = [schedule(config, step, 100) for step in range(101)]
    assert factors[0] == 1 and factors[100] == 0
    assert factors == sorted(factors, reverse=True)
    assert factors[50] == pytest.approx(0.5**0.9)


def test_warmup_rises_to_the_schedule() -> None:
    config = OptimizerConfig(warmup_steps=10, warmup_factor=0.01)
    assert schedule(config, 0, 100) == pytest.approx(0.01)
    assert schedule(config, 10, 100) == schedule(OptimizerConfig(), 10, 100)


def test_step_schedule_falls_to_a_tenth() -> None:
    config = OptimizerConfig(steps_at=(6, 9))
    assert [schedule(config, s, 10) for s in (5, 6, 9)] == pytest.approx([1, 0.1, 0.01])


def test_clip_and_step_move_the_weights() -> None:
    network = nn.Linear(3, 1)
    optimizer = build_optimizer(network, OptimizerConfig(learning_rate=0.1))
    before = network.weight.detach().clone()
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(before, network.weight)
