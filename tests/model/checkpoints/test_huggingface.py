"""Folders of transformers of every age give the same tensors and settings."""

import json
import re

import pytest
import torch

from model.checkpoints.foreign import UNKNOWN_LICENCE, ZOO_LICENCE
from model.checkpoints.huggingface import read_huggingface
from model.checkpoints.huggingface_keys import from_huggingface
from model.checkpoints.original import read_original
from model.errors import CheckpointError
from model.network.load import save_weights
from tests.model.checkpoints.huggingface_samples import huggingface_state, write_folder
from tests.model.checkpoints.samples import ARCHITECTURES, random_state

SWIN = ARCHITECTURES["swin"]
PIXEL = "model.pixel_level_module"


def assert_equal(state, expected):
    assert state.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(state[key], tensor), key


@pytest.mark.parametrize("name", ["basic", "bottleneck", "swin"])
def test_names_on_disk(tmp_path, name):
    architecture = ARCHITECTURES[name]
    foreign = read_huggingface(write_folder(tmp_path / "theirs", architecture))
    assert_equal(foreign.state, random_state(architecture))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "module."),
        ("class_predictor", "model.class_predictor"),
        ("model.", "model.model."),
        ("model.pixel_level_module", "pixel_level_module"),
        ("hidden_states_norms.0", "hidden_states_norms.stage1"),
        ("self_attn.out_proj", "self_attn.o_proj"),
        ("layers.0.fc1", "layers.0.mlp.fc1"),
    ],
)
def test_other_spellings(old, new):
    state = {}
    for key, tensor in huggingface_state(SWIN).items():
        state[new + key if not old else key.replace(old, new, 1)] = tensor
    assert_equal(from_huggingface(state), random_state(SWIN))


def test_tensors_without_effect_are_ignored():
    state = huggingface_state(SWIN) | {
        "criterion.empty_weight": torch.ones(7),
        f"{PIXEL}.encoder.model.layernorm.weight": torch.ones(64),
        f"{PIXEL}.encoder.embedder.normalization.num_batches_tracked": torch.tensor(3),
    }
    assert_equal(from_huggingface(state), random_state(SWIN))


def test_pytorch_bin(tmp_path):
    folder = write_folder(tmp_path / "theirs", SWIN)
    (folder / "model.safetensors").unlink()
    torch.save(huggingface_state(SWIN), folder / "pytorch_model.bin")
    assert_equal(read_huggingface(folder).state, random_state(SWIN))


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin"])
def test_shards(tmp_path, form):
    folder = write_folder(tmp_path / "theirs", SWIN)
    (folder / "model.safetensors").unlink()
    stem, ending = form.split(".")
    owner = {}
    for number in (0, 1):
        part = dict(list(huggingface_state(SWIN).items())[number::2])
        name = f"{stem}-0000{number + 1}-of-00002.{ending}"
        save_weights(part, folder / name) if ending == "safetensors" else torch.save(
            part, folder / name
        )
        owner |= dict.fromkeys(part, name)
    index = folder / f"{form}.index.json"
    index.write_text(json.dumps({"weight_map": owner}), encoding="utf-8")
    assert_equal(read_huggingface(folder).state, random_state(SWIN))
    index.write_text(json.dumps({"weight_map": owner | {"absent": name}}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="expected absent in"):
        read_huggingface(folder)
    index.write_text(json.dumps({"weight_map": {"x": "../x.safetensors"}}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="plain file names"):
        read_huggingface(folder)


def test_a_file_alone_is_told_by_its_names(tmp_path):
    torch.save(huggingface_state(SWIN), tmp_path / "pytorch_model.bin")
    assert_equal(read_original(tmp_path / "pytorch_model.bin").state, random_state(SWIN))


def test_settings_that_no_shape_tells(tmp_path):
    folder = write_folder(
        tmp_path / "theirs",
        ARCHITECTURES["bottleneck"],
        backbone_config={"model_type": "resnet", "downsample_in_bottleneck": True},
        decoder_config={"decoder_attention_heads": 4, "dropout": 0.2},
    )
    hints = read_huggingface(folder).hints
    assert (hints.decoder_heads, hints.dropout, hints.stride_in_1x1) == (4, 0.2, True)


def test_labels_in_order_of_their_index(tmp_path):
    labels = {"10": "k", "2": "c", "0": "a", "1": "b"}
    folder = write_folder(tmp_path / "theirs", SWIN, id2label=labels)
    assert read_huggingface(folder).labels == ("a", "b", "c", "k")
    folder = write_folder(tmp_path / "generic", SWIN, id2label={"0": "LABEL_0"})
    assert read_huggingface(folder).labels == ()


def test_licence(tmp_path):
    folder = write_folder(tmp_path / "theirs", SWIN)
    assert read_huggingface(folder).licence == UNKNOWN_LICENCE
    (folder / "README.md").write_text(
        "---\ntags: [x]\nlicense: apache-2.0\n---\n# Model\n", encoding="utf-8"
    )
    assert read_huggingface(folder).licence == "apache-2.0"
    assert read_huggingface(folder, "facebook/maskformer-swin-tiny-ade").licence == ZOO_LICENCE
    tuned = write_folder(tmp_path / "t", SWIN, _name_or_path="facebook/maskformer-swin-tiny-ade")
    assert read_huggingface(tuned).licence == ZOO_LICENCE


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "mask2former"}, "model_type maskformer, got 'mask2former'"),
        ({"backbone_config": {"model_type": "convnext"}}, "backbone, got 'convnext'"),
        ({"backbone_config": {"model_type": "swin", "qkv_bias": False}}, "qkv_bias True"),
        (
            {"backbone_config": {"model_type": "resnet", "downsample_in_first_stage": True}},
            "downsample_in_first_stage False, got True",
        ),
        ({"decoder_config": {"activation_function": "gelu"}}, "relu, got gelu"),
    ],
)
def test_parts_that_the_network_has_not(tmp_path, config, message):
    folder = write_folder(tmp_path / "theirs", SWIN, **config)
    with pytest.raises(CheckpointError, match=message):
        read_huggingface(folder)


def test_broken_folders(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_huggingface(tmp_path)
    folder = write_folder(tmp_path / "theirs", SWIN)
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="whole safetensors"):
        read_huggingface(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        read_huggingface(folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="expected JSON"):
        read_huggingface(folder)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("swin", {"decoder_config": {"decoder_layers": 3}}),
        ("swin", {"backbone_config": {"model_type": "swin", "depths": [2, 1, 2, 2]}}),
        ("basic", {"backbone_config": {"model_type": "resnet", "depths": [2, 1, 1, 1]}}),
        ("basic", {"id2label": {"zero": "a"}}),
        ("basic", {"decoder_config": [8]}),
        ("basic", {"decoder_config": {"decoder_attention_heads": "eight"}}),
        ("basic", {"decoder_config": {"dropout": None}}),
        ("basic", {"backbone_config": {"model_type": "resnet", "depths": 4}}),
        ("basic", {"id2label": {"0": "a", "1": "b", "2": " "}}),
    ],
)
def test_weights_and_config_that_contradict_each_other(tmp_path, name, config):
    folder = write_folder(tmp_path / "theirs", ARCHITECTURES[name], **config)
    with pytest.raises(CheckpointError, match=r"expected .*, got"):
        read_huggingface(folder)


def test_incomplete_weights():
    state = huggingface_state(SWIN)
    without_heads = {k: t for k, t in state.items() if not k.startswith("class_predictor")}
    with pytest.raises(CheckpointError, match="without the heads"):
        from_huggingface(without_heads)
    without_key = {k: t for k, t in state.items() if "layers.1.encoder_attn.k_proj" not in k}
    with pytest.raises(CheckpointError, match=r"missing key \S+layers\.1\.encoder_attn\.k_proj\."):
        from_huggingface(without_key)
    (key,) = (k for k in state if k.endswith("layers.1.encoder_attn.k_proj.bias"))
    with pytest.raises(CheckpointError, match=rf"{re.escape(key)}: expected shape \(32,\).*\(3,\)"):
        from_huggingface(state | {key: state[key][:3]})
    with pytest.raises(CheckpointError, match=r"surplus key .*strange"):
        from_huggingface(state | {"strange": torch.ones(1)})
