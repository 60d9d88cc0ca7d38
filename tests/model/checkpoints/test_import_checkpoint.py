"""A model folder comes out whole, or not at all."""

import re

import pytest
import torch

from model.artifact import load_artifact
from model.checkpoints.import_checkpoint import import_checkpoint
from model.errors import CheckpointError
from model.network.load import load_network, read_weights
from tests.model.checkpoints.huggingface_samples import write_folder
from tests.model.checkpoints.samples import (
    ARCHITECTURES,
    original_state,
    random_state,
    write_pickle,
)

SWIN = ARCHITECTURES["swin"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_imported_folder(tmp_path, name):
    architecture = ARCHITECTURES[name]
    source = write_pickle(tmp_path / "model_final.pkl", original_state(architecture))
    artifact, notes = import_checkpoint(source, tmp_path / "made" / "here")
    assert artifact == load_artifact(tmp_path / "made" / "here")
    assert artifact.manifest.architecture == architecture
    assert {f.name for f in artifact.folder.iterdir()} == {
        "artifact.json",
        "model.safetensors",
        "README.md",
    }
    assert f"{architecture.num_classes} classes" in notes[0]
    card = (artifact.folder / "README.md").read_text(encoding="utf-8")
    assert "CC BY-NC 4.0" in card
    assert card.startswith("# model_final.pkl\n")
    loaded = load_network(artifact).state_dict()
    for key, tensor in random_state(architecture).items():
        assert torch.equal(loaded[key], tensor), key


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_number_format_is_kept_and_computed_in_float32(tmp_path, dtype):
    state = {k: t.to(dtype) for k, t in original_state(SWIN).items()}
    torch.save(state, tmp_path / "model.pth")
    artifact, _ = import_checkpoint(tmp_path / "model.pth", tmp_path / "made")
    assert artifact.manifest.files["model.safetensors"].dtype == str(dtype).removeprefix("torch.")
    stored = read_weights(artifact.folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    network = load_network(artifact)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not network.training


def test_mixed_formats(tmp_path):
    state = original_state(SWIN)
    state["backbone.norm0.weight"] = state["backbone.norm0.weight"].half()
    source = write_pickle(tmp_path / "model.pkl", state)
    artifact, _ = import_checkpoint(source, tmp_path / "made")
    assert artifact.manifest.files["model.safetensors"].dtype == "mixed"


def test_a_folder_of_transformers(tmp_path):
    sizes = {"size": 96, "max_size": 128, "size_divisibility": 32}
    source = write_folder(tmp_path / "theirs", SWIN, sizes, id2label={"0": "LABEL_0"})
    artifact, _ = import_checkpoint(source, tmp_path / "made", things=["class_1"], licence="MIT")
    manifest = artifact.manifest
    assert manifest.preprocessing.shortest_edge_px == 96
    assert manifest.postprocessing.mode == "panoptic"
    assert manifest.licence == "MIT"


def test_arguments_reach_the_architecture(tmp_path):
    source = write_pickle(tmp_path / "model.pkl", original_state(ARCHITECTURES["bottleneck"]))
    artifact, _ = import_checkpoint(
        source, tmp_path / "made", decoder_heads=4, res5_dilations=[1, 1, 2], stride_in_1x1=True
    )
    architecture = artifact.manifest.architecture
    assert architecture.transformer_decoder.heads == 4
    assert architecture.backbone.res5_dilations == (1, 1, 2)
    assert architecture.backbone.stride_in_1x1


def break_missing(state):
    del state["backbone.layers.1.blocks.0.norm2.bias"]


def break_surplus(state):
    state["backbone.absolute_pos_embed"] = torch.zeros(1)


def break_shape(state):
    state["backbone.norm3.bias"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (break_missing, r"missing key backbone\.layers\.1\.blocks\.0\.norm2\.bias"),
        (break_surplus, r"surplus key backbone\.absolute_pos_embed"),
        (break_shape, r"backbone\.norm3\.bias: expected shape \(64,\), got \(3,\)"),
    ],
)
def test_weights_that_do_not_fit_leave_nothing_behind(tmp_path, spoil, message):
    state = original_state(SWIN)
    spoil(state)
    source = write_pickle(tmp_path / "model.pkl", state)
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(source, tmp_path / "made")
    assert [f.name for f in tmp_path.iterdir()] == ["model.pkl"]


@pytest.mark.parametrize("is_new_generation", [False, True])
@pytest.mark.parametrize(
    "ending",
    ["layer_4.weight", "adapter_2.norm.bias", "predictor.mask_embed.layers.1.weight"],
)
def test_keys_are_told_as_the_file_spells_them(tmp_path, is_new_generation, ending):
    state = original_state(SWIN, is_new_generation=is_new_generation)
    (key,) = (key for key in state if key.endswith(ending))
    state[key] = torch.zeros(3, 5)
    for spoilt in (state, {k: t for k, t in state.items() if k != key}):
        source = write_pickle(tmp_path / "model.pkl", spoilt)
        with pytest.raises(CheckpointError, match=rf"{re.escape(key)}\b"):
            import_checkpoint(source, tmp_path / "made")


def test_widths_that_no_network_has(tmp_path):
    state = original_state(ARCHITECTURES["basic"])
    state["sem_seg_head.adapter_1.weight"] = torch.zeros(20, 4, 1, 1)
    source = write_pickle(tmp_path / "model.pkl", state)
    with pytest.raises(CheckpointError, match="channels divisible by 32, got 20"):
        import_checkpoint(source, tmp_path / "made")


def test_a_taken_place_is_refused(tmp_path):
    source = write_pickle(tmp_path / "model.pkl", original_state(SWIN))
    (tmp_path / "empty").mkdir()
    import_checkpoint(source, tmp_path / "empty")
    for taken in (tmp_path / "empty", source):
        with pytest.raises(CheckpointError, match="free place"):
            import_checkpoint(source, taken)


def test_no_such_source(tmp_path):
    with pytest.raises(CheckpointError, match="expected a file, a folder or a Hugging Face id"):
        import_checkpoint(tmp_path / "absent" / "model.pkl", tmp_path / "made")
