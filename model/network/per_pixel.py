"""The paper's baseline without a transformer: one class per pixel from the pyramid itself."""

from torch import Tensor, nn

from model.network.output import NetworkOutput


class PerPixelBaseline(nn.Module):
    """Backbone, pixel decoder and a 1x1 convolution (arXiv 2107.06278 section 4.1).

    Args:
        backbone: (B, 3, H, W) to four maps.
        pixel_decoder: four maps to `DecodedPixels`.
        mask_channels: of the pixel decoder's mask features.
        num_classes: K.
    """

    def __init__(
        self, backbone: nn.Module, pixel_decoder: nn.Module, mask_channels: int, num_classes: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.classifier = nn.Conv2d(mask_channels, num_classes, 1)
        nn.init.kaiming_normal_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> NetworkOutput:
        """Map (B, 3, H, W) to class maps (B, K, ceil(H/4), ceil(W/4)), before the softmax."""
        mask_features = self.pixel_decoder(self.backbone(pixels)).mask_features
        return NetworkOutput(None, self.classifier(mask_features))

    def forward_all_layers(self, pixels: Tensor) -> NetworkOutput:
        """Give `forward`'s maps with a dimension L = 1 in front."""
        return NetworkOutput(None, self.forward(pixels).mask_logits[None])
