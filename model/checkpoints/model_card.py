"""Words about a model: one line for the terminal, one page for its folder."""

from pathlib import Path

from model.artifact import Manifest
from model.config import ArchitectureConfig, BackboneConfig, ResNetConfig, SwinConfig

_KINDS = {
    "maskformer": "MaskFormer",
    "per_pixel": "per-pixel baseline",
    "per_pixel_plus": "per-pixel baseline with a transformer decoder",
}


def describe(architecture: ArchitectureConfig) -> str:
    """One line: kind, backbone, decoders, classes."""
    pixel, decoder = architecture.pixel_decoder, architecture.transformer_decoder
    parts = [_KINDS[architecture.kind], _describe_backbone(architecture.backbone)]
    encoder = f" with {pixel.encoder_layers} encoder layers" if pixel.encoder_layers else ""
    parts.append(f"FPN {pixel.channels}{encoder}")
    if decoder:
        parts.append(
            f"{decoder.layers} decoder layers of width {decoder.hidden} with {decoder.heads} heads"
        )
        parts.append(f"{decoder.queries} queries")
    return ", ".join([*parts, f"{architecture.num_classes} classes"])


def _describe_backbone(backbone: BackboneConfig) -> str:
    if isinstance(backbone, SwinConfig):
        blocks = "-".join(map(str, backbone.blocks))
        return f"Swin {blocks} of {backbone.embed_channels} channels, window {backbone.window}"
    if isinstance(backbone, ResNetConfig):
        per_block = 3 if backbone.block == "bottleneck" else 2
        depth = per_block * sum(backbone.blocks) + 2  # as in its name: with stem and classifier
        name = f"ResNet-{depth}{'c' if backbone.stem == 'deep' else ''}"
        dilations = "-".join(map(str, backbone.res5_dilations))
        return f"{name} with res5 dilations {dilations}" if dilations else name
    return f"timm {backbone.name}"


def write_card(path: Path, title: str, manifest: Manifest) -> None:
    """Write the model card of an imported model.

    Args:
        path: the file.
        title: name of what was imported.
        manifest: what it is.
    """
    size, classes = manifest.preprocessing, manifest.taxonomy.classes
    things = sum(c.is_thing for c in classes)
    edges = f"shortest edge {size.shortest_edge_px or 'kept'}, longest {size.longest_edge_px}"
    path.write_text(
        f"""# {title}

{describe(manifest.architecture)}.

| | |
|---|---|
| source | {manifest.source} |
| licence of the weights | {manifest.licence} |
| classes | {manifest.taxonomy.name}: {things} things, {len(classes) - things} stuff |
| modes | {", ".join(manifest.modes)} (default {manifest.postprocessing.mode}) |
| picture size | {edges}, padded to multiples of {size.pad_to_px} |

Imported, not trained here: no score was measured on this copy. The licence of the weights is
not that of this software; who serves them must keep to it.
""",
        encoding="utf-8",
    )
