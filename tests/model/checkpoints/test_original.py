"""Every form in which the original implementation stores a model gives the same tensors."""

import collections
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoints.foreign import UNKNOWN_LICENCE, ZOO_LICENCE
from model.checkpoints.keys import to_theirs
from model.checkpoints.original import ORIGINAL, from_original, read_original
from model.errors import CheckpointError
from model.network.load import save_weights
from tests.model.checkpoints.samples import (
    ARCHITECTURES,
    original_state,
    random_state,
    write_pickle,
)

SWIN = ARCHITECTURES["swin"]


def assert_equal(state, expected):
    assert state.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(state[key], tensor), key


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("is_new_generation", [False, True])
def test_both_generations_of_names_are_read(name, is_new_generation):
    architecture = ARCHITECTURES[name]
    theirs = original_state(architecture, is_new_generation=is_new_generation)
    assert_equal(from_original(theirs), random_state(architecture))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_released_file(tmp_path, protocol):
    path = write_pickle(tmp_path / "model.pkl", original_state(SWIN), protocol)
    foreign = read_original(path)
    assert_equal(foreign.state, random_state(SWIN))
    assert foreign.licence == ZOO_LICENCE


@pytest.mark.parametrize("is_zip", [True, False])
def test_training_checkpoint(tmp_path, is_zip):
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    model = collections.OrderedDict(original_state(SWIN, is_new_generation=True))
    model["pixel_mean"] = torch.zeros(3, 1, 1)
    content = {
        "model": model,
        "optimizer": optimizer.state_dict(),
        "scheduler": {"last_epoch": 7, "base_lrs": [np.float64(1e-4)], "counter": np.int64(3)},
        "iteration": 7,
    }
    path = tmp_path / "model_final.pth"
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    foreign = read_original(path)
    assert_equal(foreign.state, random_state(SWIN))
    assert foreign.licence == UNKNOWN_LICENCE


def test_bare_state_dict_and_data_parallel_prefix(tmp_path):
    path = tmp_path / "bare.pth"
    torch.save({f"module.{key}": t for key, t in original_state(SWIN).items()}, path)
    assert_equal(read_original(path).state, random_state(SWIN))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"model": s, "model_ema": {}},
        lambda s: {"model_ema": {"state_dict": s}, "epoch": 3},
        lambda s: {"state_dict": {f"model.{key}": t for key, t in s.items()}},
        lambda s: {f"_orig_mod.module.{key}": t for key, t in s.items()},
    ],
)
def test_wrapped_weights(tmp_path, wrap):
    path = tmp_path / "wrapped.pth"
    torch.save(wrap(original_state(SWIN)), path)
    assert_equal(read_original(path).state, random_state(SWIN))


def test_remarks_among_the_arrays(tmp_path):
    remarks = {"__author__": "someone", "matching_heuristics": True}
    arrays = {key: tensor.numpy() for key, tensor in original_state(SWIN).items()}
    (tmp_path / "flat.pkl").write_bytes(pickle.dumps(arrays | remarks))
    assert_equal(read_original(tmp_path / "flat.pkl").state, random_state(SWIN))


def test_safetensors_with_the_originals_names(tmp_path):
    save_weights(original_state(SWIN), tmp_path / "model.safetensors")
    assert_equal(read_original(tmp_path / "model.safetensors").state, random_state(SWIN))


def test_half_precision_is_kept_and_double_is_rounded(tmp_path):
    half = {key: tensor.half() for key, tensor in original_state(SWIN).items()}
    state = read_original(write_pickle(tmp_path / "half.pkl", half)).state
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    double = {key: tensor.double() for key, tensor in original_state(SWIN).items()}
    state = read_original(write_pickle(tmp_path / "double.pkl", double)).state
    assert_equal(state, random_state(SWIN))


def test_counters_of_batches_are_ignored():
    state = original_state(ARCHITECTURES["basic"])
    state["backbone.stem.conv1.norm.num_batches_tracked"] = torch.tensor(9)
    assert_equal(from_original(state), random_state(ARCHITECTURES["basic"]))


def test_a_wrong_window_order_is_refused():
    state = original_state(SWIN)
    key = "backbone.layers.0.blocks.0.attn.relative_position_index"
    state[key] = torch.zeros(25, 25, dtype=torch.int64)
    with pytest.raises(CheckpointError, match="row-major"):
        from_original(state)


def test_an_unknown_key_is_named():
    state = original_state(SWIN) | {"sem_seg_head.predictor.transformer.encoder.x": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"surplus key .*transformer\.encoder\.x"):
        from_original(state)


def test_both_generations_in_one_file_are_refused():
    state = original_state(SWIN) | original_state(SWIN, is_new_generation=True)
    with pytest.raises(CheckpointError, match="expected one tensor for sem_seg_head"):
        from_original(state)


def test_a_model_without_its_class_head_is_no_baseline():
    state = {k: t for k, t in original_state(SWIN).items() if "class_embed" not in k}
    with pytest.raises(CheckpointError, match=r"class_embed\.weight, got none"):
        from_original(state)


def test_a_backbone_alone_is_refused():
    state = {k: t for k, t in original_state(SWIN).items() if k.startswith("backbone.")}
    with pytest.raises(CheckpointError, match="sem_seg_head"):
        from_original(state)


def test_what_is_no_model_is_refused(tmp_path):
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="tensors by name"):
        read_original(tmp_path / "list.pth")
    path = write_pickle(tmp_path / "text.pkl", {}, model={"backbone.x": "text"})
    with pytest.raises(CheckpointError, match="expected an array or tensor"):
        read_original(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_original(tmp_path / "absent.pkl")


@pytest.mark.parametrize("form", ["pkl", "pth", "safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.6, 0.999])
def test_a_truncated_file_is_refused(tmp_path, form, kept):
    path = tmp_path / f"model.{form}"
    state = original_state(SWIN)
    if form == "pkl":
        write_pickle(path, state)
    elif form == "pth":
        torch.save({"model": state}, path)
    else:
        save_weights(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CheckpointError):
        read_original(path)


def test_a_torch_file_with_code_is_refused(tmp_path):
    torch.save({"model": {"backbone.x": Path("x")}}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="tensors only"):
        read_original(tmp_path / "code.pth")


def test_the_table_has_no_place_for_other_names():
    with pytest.raises(CheckpointError, match=r"somewhere\.else"):
        to_theirs({"somewhere.else": torch.ones(1)}, ORIGINAL)
