"""Any timm model with a feature pyramid, behind the optional `timm` extra."""

from torch import Tensor, nn

from model.errors import EngineUnavailableError, InvalidParameterError
from model.network.backbones.features import Features

STRIDES_PX = [4, 8, 16, 32]


class TimmBackbone(nn.Module):
    """The last four maps of a timm feature extractor, channels first.

    Args:
        extractor: (B, 3, H, W) to a list of maps, the last four at strides 4, 8, 16, 32.
        channels: of those four maps.
        channels_last: whether the extractor's maps are (B, y, x, C).
    """

    def __init__(
        self, extractor: nn.Module, channels: tuple[int, int, int, int], channels_last: bool
    ) -> None:
        super().__init__()
        self.channels = channels
        self.extractor = extractor
        self.channels_last = channels_last

    def forward(self, pixels: Tensor) -> Features:
        """Map (B, 3, H, W) to four maps (B, channels[i], ...) at strides 4, 8, 16, 32."""
        maps: list[Tensor] = self.extractor(pixels)[-4:]
        if self.channels_last:
            maps = [features.permute(0, 3, 1, 2) for features in maps]
        res2, res3, res4, res5 = maps
        return res2, res3, res4, res5


def build_timm(name: str) -> TimmBackbone:
    """Build timm's model `name` without its pretrained weights.

    Raises:
        EngineUnavailableError: timm is not installed.
        InvalidParameterError: timm knows no such model, or it has no such pyramid.
    """
    try:
        import timm
    except ImportError as error:
        raise EngineUnavailableError(
            f"expected timm for the backbone '{name}', got none installed: "
            "pip install 'maskformer-serving[timm]'"
        ) from error
    if not timm.is_model(name):
        raise InvalidParameterError(f"expected the name of a timm model, got '{name}'")
    extractor = timm.create_model(name, pretrained=False, features_only=True)
    strides_px = list(extractor.feature_info.reduction())[-4:]
    if strides_px != STRIDES_PX:
        raise InvalidParameterError(
            f"expected a timm model with strides {STRIDES_PX}, got {strides_px} from '{name}'"
        )
    res2, res3, res4, res5 = extractor.feature_info.channels()[-4:]
    channels_last = str(getattr(extractor, "output_fmt", "NCHW")) == "NHWC"
    return TimmBackbone(extractor, (res2, res3, res4, res5), channels_last)
