"""Imported models compute what transformers computes, and go back there unchanged."""

import json

import pytest
import torch
import transformers

from model.checkpoints.export_huggingface import export_huggingface
from model.checkpoints.import_checkpoint import import_checkpoint
from model.network.load import load_network
from tests.parity.tiny_transformers import BACKBONES, ODD_SIZES_HW, build

TOLERANCE = 1e-4

# transformers' own code warns about names that torch renamed
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def pixels(hw, batch=2):
    return torch.randn(batch, 3, *hw, generator=torch.Generator().manual_seed(hw[0]))


@torch.no_grad()
def assert_same(theirs, ours, hw):
    x = pixels(hw)
    expected, got = theirs(pixel_values=x), ours(x)
    torch.testing.assert_close(
        got.class_logits, expected.class_queries_logits, atol=TOLERANCE, rtol=0
    )
    torch.testing.assert_close(
        got.mask_logits, expected.masks_queries_logits, atol=TOLERANCE, rtol=0
    )


@pytest.mark.parametrize("name", BACKBONES)
def test_import_computes_the_same_logits(tmp_path, name):
    theirs = build(name)
    theirs.save_pretrained(tmp_path / "theirs")
    artifact, _ = import_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    ours = load_network(artifact)
    for hw in ODD_SIZES_HW:
        assert_same(theirs, ours, hw)


@pytest.mark.parametrize("name", BACKBONES)
def test_export_gives_the_same_model_back(tmp_path, name):
    theirs = build(name)
    theirs.save_pretrained(tmp_path / "theirs")
    artifact, _ = import_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    export_huggingface(artifact, tmp_path / "back")
    back, info = transformers.MaskFormerForInstanceSegmentation.from_pretrained(
        tmp_path / "back", output_loading_info=True
    )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[problem], info[problem]
    assert_same(back.eval(), load_network(artifact), (61, 83))
    again, _ = import_checkpoint(tmp_path / "back", tmp_path / "again")
    assert again.manifest.architecture == artifact.manifest.architecture
    for file in ("model.safetensors",):
        assert (again.folder / file).read_bytes() == (artifact.folder / file).read_bytes()


def test_exported_preprocessor_is_read_by_transformers(tmp_path):
    build("swin-7").save_pretrained(tmp_path / "theirs")
    artifact, _ = import_checkpoint(tmp_path / "theirs", tmp_path / "ours", shortest_edge_px=64)
    export_huggingface(artifact, tmp_path / "back")
    config = json.loads((tmp_path / "back/preprocessor_config.json").read_text(encoding="utf-8"))
    processor = transformers.MaskFormerImageProcessorPil(
        **{k: v for k, v in config.items() if k != "image_processor_type"}
    )
    assert processor.size["shortest_edge"] == 64
    assert processor.image_mean == pytest.approx([0.485, 0.456, 0.406])
