import pytest
import torch

from model.network.backbones import build_backbone
from model.network.backbones.swin import (
    PatchMerging,
    SwinBlock,
    SwinTransformer,
    _relative_position_index,
    _shift_mask,
)
from tests.model.network import tiny


def _swin() -> SwinTransformer:
    torch.manual_seed(0)
    network = build_backbone(tiny.SWIN)
    assert isinstance(network, SwinTransformer)
    return network.eval()


@pytest.mark.parametrize("hw", [(64, 96), (97, 131), (1, 33)])
def test_features_leave_at_strides_4_to_32(hw: tuple[int, int]) -> None:
    network = _swin()
    with torch.no_grad():
        features = network(torch.randn(2, 3, *hw))
    assert network.channels == (8, 16, 32, 64)
    for feature, channels, stride in zip(features, network.channels, (4, 8, 16, 32), strict=True):
        assert feature.shape == (2, channels, -(-hw[0] // stride), -(-hw[1] // stride))


def test_state_has_the_names_that_checkpoints_are_mapped_to() -> None:
    names = set(_swin().state_dict())
    assert {
        "patch_embed.proj.bias",
        "patch_embed.norm.weight",
        "layers.1.blocks.1.norm2.bias",
        "layers.0.blocks.0.attn.qkv.bias",
        "layers.0.blocks.0.attn.relative_position_bias_table",
        "layers.3.blocks.0.mlp.fc2.weight",
        "layers.2.downsample.norm.weight",
        "layers.0.downsample.reduction.weight",
        "norm0.weight",
        "norm3.bias",
    } <= names
    assert not any("index" in name or "layers.3.downsample" in name for name in names)


def test_tokens_attend_only_to_neighbours_of_their_own_region() -> None:
    """The band of each row and column says which side of the cyclic shift it came from."""
    window, shift, height, width = 4, 2, 7, 10  # padded to 8 x 12
    mask = _shift_mask(torch.zeros(1, height, width, 1), window, shift)
    rows, columns = [0] * 4 + [1] * 2 + [2] * 2, [0] * 8 + [1] * 2 + [2] * 2
    for index in range(6):
        top, left = index // 3 * window, index % 3 * window
        region = [(rows[top + i // 4], columns[left + i % 4]) for i in range(16)]
        expected = torch.tensor([[0.0 if a == b else -100.0 for b in region] for a in region])
        assert torch.equal(mask[index], expected)


def test_relative_position_decides_the_row_of_the_bias_table() -> None:
    window = 3
    index = _relative_position_index(window)
    rows = {}
    for query in range(9):
        for key in range(9):
            offset = (query // 3 - key // 3, query % 3 - key % 3)
            assert rows.setdefault(offset, index[query, key]) == index[query, key]
    assert sorted(int(row) for row in rows.values()) == list(range(25))
    assert index[0, 0] == 12
    assert index[0, 8] == 0  # to the far bottom right: the smallest offsets


def test_a_token_sees_its_own_window_only() -> None:
    torch.manual_seed(0)
    block = SwinBlock(8, heads=2, window=3, shift=0, mlp_inner=8, drop_path=0.0).eval()
    index = _relative_position_index(3)
    tokens = torch.randn(1, 7, 8, 8)
    changed = tokens.clone()
    changed[0, 4, 4, 0] += 1.0  # of one channel, as the norm hides a common change
    mask = _shift_mask(tokens, 3, 0)
    with torch.no_grad():
        moved = (block(changed, index, mask) - block(tokens, index, mask)).abs().sum(-1)[0] > 1e-6
    expected = torch.zeros(7, 8, dtype=torch.bool)
    expected[3:6, 3:6] = True
    assert torch.equal(moved, expected)


def test_merging_stacks_squares_column_by_column() -> None:
    merging = PatchMerging(1)
    merging.norm = torch.nn.Identity()
    merging.reduction = torch.nn.Identity()
    tokens = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[None, :, :, None]
    assert merging(tokens).tolist() == [[[[1.0, 4.0, 2.0, 5.0], [3.0, 6.0, 0.0, 0.0]]]]


def test_drop_path_skips_whole_pictures_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block = SwinBlock(8, heads=2, window=3, shift=0, mlp_inner=8, drop_path=0.5).train()
    branch = block._drop(torch.ones(1000, 2, 2, 8))
    assert set(branch.unique().tolist()) == {0.0, 2.0}
    assert all(picture.unique().numel() == 1 for picture in branch)
    assert abs(float(branch.mean()) - 1) < 0.15


def test_drop_path_rises_linearly_to_the_last_block() -> None:
    rates = [m.drop_path for m in _swin().modules() if isinstance(m, SwinBlock)]
    assert rates == pytest.approx([0, 0.075, 0.15, 0.225, 0.3])
