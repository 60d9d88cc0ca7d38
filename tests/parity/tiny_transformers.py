"""Small random models of transformers, with every number random."""

import math
from typing import Any

import torch
import transformers

FOUR = ["stage1", "stage2", "stage3", "stage4"]

BACKBONES: dict[str, Any] = {
    "swin-7": transformers.SwinConfig(
        embed_dim=8, depths=[2, 2, 2, 1], num_heads=[1, 2, 4, 4], window_size=7, out_features=FOUR
    ),
    "swin-12": transformers.SwinConfig(
        embed_dim=8, depths=[2, 1, 3, 2], num_heads=[2, 2, 2, 4], window_size=12, out_features=FOUR
    ),
    "resnet-basic": transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 24],
        depths=[2, 2, 1, 2],
        layer_type="basic",
        out_features=FOUR,
    ),
    "resnet-bottleneck": transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[16, 32, 32, 64],
        depths=[1, 2, 2, 1],
        layer_type="bottleneck",
        out_features=FOUR,
    ),
    "resnet-strides-in-1x1": transformers.ResNetConfig(
        embedding_size=4,
        hidden_sizes=[16, 16, 32, 32],  # res5 as wide as the decoder: no input projection
        depths=[1, 1, 1, 1],
        layer_type="bottleneck",
        downsample_in_bottleneck=True,
        out_features=FOUR,
    ),
}
ODD_SIZES_HW = [(32, 32), (61, 83), (97, 130)]


def build(name: str, num_labels: int = 3, seed: int = 0) -> Any:
    """A `MaskFormerForInstanceSegmentation` of that backbone, in eval mode."""
    decoder = transformers.DetrConfig(
        d_model=32,
        decoder_layers=3,
        decoder_attention_heads=4,
        encoder_attention_heads=4,
        decoder_ffn_dim=40,
        num_queries=6,
    )
    config = transformers.MaskFormerConfig(
        backbone_config=BACKBONES[name],
        decoder_config=decoder,
        fpn_feature_size=32,
        mask_feature_size=16,
        num_labels=num_labels,
        output_auxiliary_logits=True,
    )
    generator = torch.Generator().manual_seed(seed)
    model = transformers.MaskFormerForInstanceSegmentation(config).eval()
    with torch.no_grad():
        for key, tensor in (*model.named_parameters(), *model.named_buffers()):
            if tensor.is_floating_point():
                tensor.copy_(_draw(key, tensor.shape, generator))
    return model


def _draw(key: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Numbers that keep activations near 1, so that queries and pixels differ visibly."""
    normal = torch.randn(shape, generator=generator)
    if "queries_embedder" in key or "bias_table" in key:
        return normal
    if len(shape) > 1:
        return normal / math.prod(shape[1:]) ** 0.5
    if key.endswith("running_var"):
        return 1 + 0.5 * normal.tanh()
    return 0.2 * normal + (1 if key.endswith("weight") else 0)
