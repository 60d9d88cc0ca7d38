"""Swin transformer, arXiv 2103.14030, with a norm on every stage's output.

Tokens lie as (B, y, x, C). T is the number of tokens in a window, N the number of windows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.errors import InvalidParameterError
from model.network.backbones.features import Features

PATCH_PX = 4
MASKED = -100.0  # added to the attention between regions that are no neighbours; as trained


class PatchEmbedding(nn.Module):
    """One token per patch of 4 x 4 pixels.

    Args:
        channels: of a token.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH_PX, stride=PATCH_PX)
        self.norm = nn.LayerNorm(channels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, ceil(H/4), ceil(W/4), channels)."""
        pad_y, pad_x = (_round_up(side, PATCH_PX) - side for side in pixels.shape[2:])
        patches = self.proj(F.pad(pixels, (0, pad_x, 0, pad_y)))
        tokens: Tensor = self.norm(patches.permute(0, 2, 3, 1))
        return tokens


class PatchMerging(nn.Module):
    """Four neighbouring tokens become one of twice the channels.

    Args:
        channels: of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, y, x, C) to (B, ceil(y/2), ceil(x/2), 2C)."""
        squares = _split(_pad(tokens, 2), 2)  # (B, y, 2, x, 2, C)
        # The trained order of a square is column by column.
        merged = squares.permute(0, 1, 3, 4, 2, 5).flatten(3)
        reduced: Tensor = self.reduction(self.norm(merged))
        return reduced


class WindowAttention(nn.Module):
    """Attention inside each window, with a learned bias per relative position.

    Args:
        channels: C.
        heads: a divisor of C.
        window: side of the window, in tokens.

    Raises:
        InvalidParameterError: C is no multiple of `heads`.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        if channels % heads:
            raise InvalidParameterError(
                f"expected a width divisible by {heads} heads, got {channels}"
            )
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, windows: Tensor, index: Tensor, mask: Tensor | None) -> Tensor:
        """Let the tokens of each window attend to each other.

        Args:
            windows: (B, N, T, C).
            index: (T, T) row of the bias table for each query and key.
            mask: (N, T, T) added to the attention logits; None = nothing.

        Returns:
            (B, N, T, C).
        """
        count = windows.shape[1]
        bias = self.relative_position_bias_table[index].permute(2, 0, 1)  # (heads, T, T)
        bias = bias.expand(count, -1, -1, -1) if mask is None else bias + mask[:, None]
        # (B, N, T, 3, heads, C/heads)
        qkv = torch.unflatten(self.qkv(windows), -1, (3, self.heads, -1))
        # Each (B, N * heads, T, C/heads): four dimensions, as the fused kernels take no more.
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias.flatten(0, 1)[None]
        )
        attended = torch.unflatten(attended, 1, (count, self.heads)).transpose(2, 3).flatten(3)
        projected: Tensor = self.proj(attended)
        return projected


class Mlp(nn.Module):
    """Two linear layers with a GELU between.

    Args:
        channels: of input and output.
        inner: between the layers.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, inner)
        self.fc2 = nn.Linear(inner, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., channels) to (..., channels)."""
        mixed: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return mixed


class SwinBlock(nn.Module):
    """Window attention and an MLP, each behind its norm and beside a shortcut.

    Args:
        channels: C.
        heads: of the attention.
        window: side of the window, in tokens.
        shift: of the windows, in tokens; 0 = none.
        mlp_inner: inner width of the MLP.
        drop_path: probability that a picture skips a branch, in training.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        window: int,
        shift: int,
        mlp_inner: int,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, mlp_inner)

    def forward(self, tokens: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        """Mix (B, y, x, C) tokens; `index` and `mask` as in `WindowAttention`."""
        tokens = tokens + self._drop(self._attend(self.norm1(tokens), index, mask))
        return tokens + self._drop(self.mlp(self.norm2(tokens)))

    def _attend(self, tokens: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        height, width = tokens.shape[1:3]
        shift = self.shift
        padded = _pad(tokens, self.window)
        if shift:
            padded = padded.roll((-shift, -shift), dims=(1, 2))
        squares = _split(padded, self.window).transpose(2, 3)  # (B, y, x, window, window, C)
        batch, rows, columns, window, _, channels = squares.shape
        windows = squares.reshape(batch, rows * columns, window * window, channels)
        windows = self.attn(windows, index, mask if shift else None)
        mixed: Tensor = windows.view(squares.shape).transpose(2, 3).reshape(padded.shape)
        if shift:
            mixed = mixed.roll((shift, shift), dims=(1, 2))
        return mixed[:, :height, :width]

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * branch.new_empty(branch.shape[0], 1, 1, 1).bernoulli_(keep).div_(keep)


class SwinStage(nn.Module):
    """Blocks at one stride, every second with shifted windows.

    Args:
        blocks: of equal window.
        window: side of their windows, in tokens.
        downsample: leads to the next stage.
    """

    def __init__(self, blocks: Sequence[SwinBlock], window: int, downsample: nn.Module) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, tokens: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Mix (B, y, x, C) tokens; `index` as in `WindowAttention`.

        Returns:
            the stage's output (B, y, x, C) and the next stage's input.
        """
        mask = _shift_mask(tokens, self.window, self.window // 2)
        for block in self.blocks:
            tokens = block(tokens, index, mask)
        return tokens, self.downsample(tokens)


class SwinTransformer(nn.Module):
    """Patch embedding and four stages.

    Args:
        embed_channels: of the first stage; each later one doubles them.
        blocks: per stage.
        heads: per stage.
        window: side of the windows, in tokens.
        mlp_ratio: inner width of the MLPs over their input's.
        drop_path: of the last block, linear from 0 at the first.
    """

    relative_position_index: Tensor

    def __init__(
        self,
        embed_channels: int,
        blocks: tuple[int, int, int, int],
        heads: tuple[int, int, int, int],
        window: int,
        mlp_ratio: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        base = embed_channels
        self.channels = (base, 2 * base, 4 * base, 8 * base)
        self.patch_embed = PatchEmbedding(embed_channels)
        drop_paths = iter(torch.linspace(0, drop_path, sum(blocks), device="cpu").tolist())
        self.layers = nn.ModuleList(
            SwinStage(
                [
                    SwinBlock(
                        channels,
                        heads[stage],
                        window,
                        window // 2 * (index % 2),
                        int(channels * mlp_ratio),
                        next(drop_paths),
                    )
                    for index in range(blocks[stage])
                ],
                window,
                PatchMerging(channels) if stage < 3 else nn.Identity(),
            )
            for stage, channels in enumerate(self.channels)
        )
        self.norm0, self.norm1, self.norm2, self.norm3 = map(nn.LayerNorm, self.channels)
        self.register_buffer(
            "relative_position_index", _relative_position_index(window), persistent=False
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, pixels: Tensor) -> Features:
        """Map (B, 3, H, W) to (B, channels[i], ceil(H/s), ceil(W/s)) for s = 4, 8, 16, 32."""
        tokens = self.patch_embed(pixels)
        features = []
        norms = (self.norm0, self.norm1, self.norm2, self.norm3)
        for stage, norm in zip(self.layers, norms, strict=True):
            mixed, tokens = stage(tokens, self.relative_position_index)
            features.append(norm(mixed).permute(0, 3, 1, 2))
        res2, res3, res4, res5 = features
        return res2, res3, res4, res5


def _round_up(side: int, multiple: int) -> int:
    """Round up; also for symbolic sides, which the exporter must see as a multiple."""
    return (side + multiple - 1) // multiple * multiple


def _pad(tokens: Tensor, multiple: int) -> Tensor:
    """Zero-pad (B, y, x, C) at the bottom and right to multiples in y and x."""
    pad_y, pad_x = (_round_up(side, multiple) - side for side in tokens.shape[1:3])
    return F.pad(tokens, (0, 0, 0, pad_x, 0, pad_y))


def _split(tokens: Tensor, side: int) -> Tensor:
    """Split (B, y, x, C) into squares: (B, y/side, side, x/side, side, C)."""
    batch, height, width, channels = tokens.shape
    return tokens.view(batch, height // side, side, width // side, side, channels)


def _shift_mask(tokens: Tensor, window: int, shift: int) -> Tensor:
    """Separate what only the cyclic shift made neighbours, in the padded map of `tokens`.

    The shifted map has three bands per axis: whole windows, and the last window's two parts,
    of which the second came round from the other side.

    Args:
        tokens: (B, y, x, C) before padding; gives sides, device and dtype.
        window: side of a window, in tokens.
        shift: of the windows, in tokens.

    Returns:
        (N, T, T) of the tokens' dtype: 0 inside a region, -100 between two.
    """
    bands = []
    for side in tokens.shape[1:3]:
        padded = _round_up(side, window)
        position = torch.arange(padded, device=tokens.device)
        bands.append((position >= padded - window).long() + (position >= padded - shift).long())
    regions = 3 * bands[0][:, None] + bands[1]  # (y, x)
    squares = _split(regions[None, :, :, None], window).transpose(2, 3)
    windows = squares.flatten(3).flatten(0, 2).flatten(1)  # (N, T)
    is_apart = windows[:, :, None] != windows[:, None]
    return is_apart.to(tokens.dtype) * MASKED


def _relative_position_index(window: int) -> Tensor:
    """Give for each query and key of a window the row of the bias table, (T, T) int64.

    On the CPU even where the default device is `meta`, since no checkpoint holds it.
    """
    side = torch.arange(window, device="cpu")
    y, x = side.repeat_interleave(window), side.repeat(window)  # (T,)
    dy, dx = y[:, None] - y, x[:, None] - x
    return (dy + window - 1) * (2 * window - 1) + dx + window - 1
