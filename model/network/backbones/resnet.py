"""ResNet, arXiv 1512.03385, with features at strides 4, 8, 16 and 32."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from model.config import ResNetConfig
from model.errors import InvalidParameterError
from model.network.backbones.features import Features
from model.network.normed_conv import BatchNorm2d, FrozenBatchNorm2d, NormedConv2d

MakeNorm = Callable[[int], nn.Module]


class Stem(nn.Module):
    """The entrance, stride 4: one 7x7 convolution, or three 3x3, then a max pool.

    Args:
        channels: of the output.
        deep: three convolutions, the first two at half the channels (the paper's R101c).
        make_norm: gives the norm for a number of channels.
    """

    def __init__(self, channels: int, deep: bool, make_norm: MakeNorm) -> None:
        super().__init__()
        self.deep = deep
        if deep:
            half = channels // 2
            self.conv1 = NormedConv2d(3, half, 3, make_norm(half), stride=2)
            self.conv2 = NormedConv2d(half, half, 3, make_norm(half))
            self.conv3 = NormedConv2d(half, channels, 3, make_norm(channels))
        else:
            self.conv1 = NormedConv2d(3, channels, 7, make_norm(channels), stride=2)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, channels, ceil(H/4), ceil(W/4))."""
        features = F.relu(self.conv1(pixels))
        if self.deep:
            features = F.relu(self.conv2(features))
            features = F.relu(self.conv3(features))
        return F.max_pool2d(features, kernel_size=3, stride=2, padding=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (ResNet-18, 34).

    Args:
        in_channels: of the input.
        out_channels: of the output and between the convolutions.
        make_norm: gives the norm for a number of channels.
        stride: of the first convolution.
        dilation: of both convolutions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, make_norm: MakeNorm, stride: int, dilation: int
    ) -> None:
        super().__init__()
        self.conv1 = NormedConv2d(
            in_channels, out_channels, 3, make_norm(out_channels), stride=stride, dilation=dilation
        )
        self.conv2 = NormedConv2d(
            out_channels, out_channels, 3, make_norm(out_channels), dilation=dilation
        )
        self.shortcut = _make_shortcut(in_channels, out_channels, make_norm, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in_channels, y, x) to (B, out_channels, ceil(y/stride), ceil(x/stride))."""
        residual = self.conv2(F.relu(self.conv1(features)))
        return F.relu(residual + self.shortcut(features))


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (ResNet-50, 101).

    Args:
        in_channels: of the input.
        inner_channels: of the 3x3 convolution.
        out_channels: of the output.
        make_norm: gives the norm for a number of channels.
        stride: of the block.
        dilation: of the 3x3 convolution.
        groups: of the 3x3 convolution.
        stride_in_1x1: whether the first 1x1 convolution strides instead of the 3x3.
    """

    def __init__(
        self,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        make_norm: MakeNorm,
        stride: int,
        dilation: int,
        groups: int,
        stride_in_1x1: bool,
    ) -> None:
        super().__init__()
        stride_1x1, stride_3x3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = NormedConv2d(
            in_channels, inner_channels, 1, make_norm(inner_channels), stride=stride_1x1
        )
        self.conv2 = NormedConv2d(
            inner_channels,
            inner_channels,
            3,
            make_norm(inner_channels),
            stride=stride_3x3,
            dilation=dilation,
            groups=groups,
        )
        self.conv3 = NormedConv2d(inner_channels, out_channels, 1, make_norm(out_channels))
        self.shortcut = _make_shortcut(in_channels, out_channels, make_norm, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in_channels, y, x) to (B, out_channels, ceil(y/stride), ceil(x/stride))."""
        residual = F.relu(self.conv1(features))
        residual = self.conv3(F.relu(self.conv2(residual)))
        return F.relu(residual + self.shortcut(features))


class ResNet(nn.Module):
    """A stem and four stages.

    Args:
        stem: stride 4.
        stages: stride 1, 2, 2, 2, one after the other.
        channels: of each stage's output.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: tuple[nn.Module, nn.Module, nn.Module, nn.Module],
        channels: tuple[int, int, int, int],
    ) -> None:
        super().__init__()
        self.channels = channels
        self.stem = stem
        self.res2, self.res3, self.res4, self.res5 = stages
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pixels: Tensor) -> Features:
        """Map (B, 3, H, W) to res2..res5, (B, channels[i], ceil(H/s), ceil(W/s)), s = 4..32."""
        res2 = self.res2(self.stem(pixels))
        res3 = self.res3(res2)
        res4 = self.res4(res3)
        return res2, res3, res4, self.res5(res4)


def build_resnet(config: ResNetConfig) -> ResNet:
    """Build the network that `config` describes, randomly initialised.

    Raises:
        InvalidParameterError: `groups` does not divide every stage's inner channels.
    """
    for channels in config.inner_channels:
        if channels % config.groups:
            raise InvalidParameterError(
                f"expected inner channels divisible by {config.groups} groups, got {channels}"
            )
    make_norm: MakeNorm = FrozenBatchNorm2d if config.norm == "frozen_batch_norm" else BatchNorm2d
    in_channels = (config.stem_channels, *config.out_channels)
    stages = tuple(
        _build_stage(config, make_norm, stage, stage_in)
        for stage, (stage_in, _) in enumerate(pairwise(in_channels))
    )
    res2, res3, res4, res5 = stages
    stem = Stem(config.stem_channels, config.stem == "deep", make_norm)
    return ResNet(stem, (res2, res3, res4, res5), config.out_channels)


def _build_stage(
    config: ResNetConfig, make_norm: MakeNorm, stage: int, in_channels: int
) -> nn.Sequential:
    inner, out = config.inner_channels[stage], config.out_channels[stage]
    dilations = config.res5_dilations if stage == 3 else ()
    blocks: list[nn.Module] = []
    for index in range(config.blocks[stage]):
        stride = 2 if index == 0 and stage > 0 else 1
        dilation = dilations[index] if dilations else 1
        channels = out if index else in_channels
        if config.block == "basic":
            blocks.append(BasicBlock(channels, out, make_norm, stride, dilation))
        else:
            blocks.append(
                BottleneckBlock(
                    channels,
                    inner,
                    out,
                    make_norm,
                    stride,
                    dilation,
                    config.groups,
                    config.stride_in_1x1,
                )
            )
    return nn.Sequential(*blocks)


def _make_shortcut(
    in_channels: int, out_channels: int, make_norm: MakeNorm, stride: int
) -> nn.Module:
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return NormedConv2d(in_channels, out_channels, 1, make_norm(out_channels), stride=stride)
