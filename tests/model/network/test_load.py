"""Weights load completely or not at all."""

import pytest
import torch
from torch import nn

from model.errors import CheckpointError
from model.network.load import check_state, load_state, read_weights, save_weights


def network():
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def random_weights(dtype=torch.float32):
    return {k: torch.randn_like(t, dtype=dtype) for k, t in network().state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_round_trip(tmp_path, dtype):
    state = random_weights(dtype)
    save_weights(state, tmp_path / "x.safetensors")
    back = read_weights(tmp_path / "x.safetensors")
    assert back.keys() == state.keys()
    assert all(torch.equal(back[k], state[k]) and back[k].dtype == dtype for k in state)
    target = network()
    load_state(target, back)
    assert all(torch.equal(t, state[k].float()) for k, t in target.state_dict().items())


def test_shared_and_transposed_tensors_can_be_saved(tmp_path):
    tensor = torch.randn(2, 3)
    save_weights({"a": tensor, "b": tensor, "c": tensor.T}, tmp_path / "x.safetensors")
    back = read_weights(tmp_path / "x.safetensors")
    assert torch.equal(back["a"], back["b"])
    assert torch.equal(back["c"], tensor.T)


def test_a_refused_state_changes_nothing():
    target = network()
    before = {k: t.clone() for k, t in target.state_dict().items()}
    state = random_weights()
    for broken, message in (
        ({k: t for k, t in state.items() if k != "1.bias"}, r"missing key 1\.bias$"),
        ({}, r"missing key 0\.weight and 3 more"),
        (state | {"2.bias": torch.ones(1)}, r"surplus key 2\.bias"),
        (state | {"0.bias": torch.ones(4)}, r"0\.bias: expected shape \(3,\), got \(4,\)"),
        (state | {"0.bias": torch.ones(3, 1)}, r"got \(3, 1\)"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_state(target, broken)
    assert all(torch.equal(t, before[k]) for k, t in target.state_dict().items())


def test_shapes_are_checked_without_memory():
    with torch.device("meta"):
        check_state(network(), random_weights())


@pytest.mark.parametrize("kept", [0, 7, 60, 200])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = tmp_path / "x.safetensors"
    save_weights(random_weights(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="expected a whole safetensors file"):
        read_weights(path)


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        read_weights(tmp_path / "absent.safetensors")
