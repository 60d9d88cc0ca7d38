"""The paper's recipes as values and one function per data set; the presets are their calls.

Source: arXiv 2107.06278, section 4.1 and appendix A, and its training configurations. The scores
stated in the presets were reached from backbones that were trained on ImageNet before.

`batch` is the paper's whole batch. Where one process cannot hold it, `batch=4 accumulate=4` takes
the same steps, and so does `batch=2` in 8 processes: normalisation is frozen, so nothing depends on
how a batch is cut.
"""

from typing import Literal

from model.checkpoints.presets import get_preset
from model.config import (
    ArchitectureConfig,
    PixelDecoderConfig,
    ResNetConfig,
    SwinConfig,
    TransformerDecoderConfig,
)
from model.data.augment import AugmentConfig, CropPhase, PreCrop
from model.data.sources import CocoData, CocoFiles, DataConfig, LayoutData
from model.training.config import TrainConfig
from model.training.optimizer import OptimizerConfig

Kind = Literal["maskformer", "per_pixel", "per_pixel_plus"]

R50 = ResNetConfig()
R101 = ResNetConfig(blocks=(3, 4, 23, 3))
R101C = ResNetConfig(blocks=(3, 4, 23, 3), stem="deep", stem_channels=128, res5_dilations=(1, 2, 4))
SWIN_TINY = SwinConfig()
SWIN_SMALL = SwinConfig(blocks=(2, 2, 18, 2))
SWIN_BASE = SwinConfig(embed_channels=128, blocks=(2, 2, 18, 2), heads=(4, 8, 16, 32), window=12)
SWIN_LARGE = SwinConfig(embed_channels=192, blocks=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=12)


def ade20k(
    name: str, backbone: ResNetConfig | SwinConfig, kind: Kind = "maskformer", crop_px: int = 512
) -> TrainConfig:
    """ADE20K, 150 classes, semantic; the larger Swins take crops of 640 px."""
    return _recipe(
        name,
        "ade20k-semantic" if crop_px == 512 else "ade20k-640",
        LayoutData(layout="ade20k", root="data/ade20k"),
        _architecture(150, backbone, kind),
        _semantic_crops((crop_px, crop_px), crop_px, 4 * crop_px),
        steps=160_000,
    )


def ade20k_full(
    name: str, backbone: ResNetConfig | SwinConfig, kind: Kind = "maskformer"
) -> TrainConfig:
    """ADE20K, 847 classes, semantic."""
    return _recipe(
        name,
        "ade20k-full",
        LayoutData(layout="ade20k-full", root="data/ade20k-full"),
        _architecture(847, backbone, kind),
        _semantic_crops((512, 512), 512, 2048),
        steps=200_000,
    )


def coco_stuff_10k(
    name: str, backbone: ResNetConfig | SwinConfig, kind: Kind = "maskformer"
) -> TrainConfig:
    """COCO-Stuff 10k, 171 classes, semantic."""
    return _recipe(
        name,
        "coco-stuff-10k",
        LayoutData(layout="coco-stuff-10k", root="data/coco-stuff-10k"),
        _architecture(171, backbone, kind),
        _semantic_crops((640, 640), 640, 2560, largest_tenths=15),
        steps=60_000,
        batch=32,
    )


def cityscapes(name: str, backbone: ResNetConfig | SwinConfig) -> TrainConfig:
    """Cityscapes, 19 classes, semantic; no crop comes out smaller, so none is padded."""
    return _recipe(
        name,
        "cityscapes",
        LayoutData(layout="cityscapes", root="data/cityscapes"),
        _architecture(19, backbone),
        _semantic_crops((512, 1024), 1024, 4096, pad=False),
        steps=90_000,
    )


def mapillary_vistas(name: str, backbone: ResNetConfig | SwinConfig) -> TrainConfig:
    """Mapillary Vistas v1.2, 65 classes, semantic."""
    return _recipe(
        name,
        "mapillary-vistas",
        LayoutData(layout="mapillary", root="data/mapillary"),
        _architecture(65, backbone),
        _semantic_crops((1280, 1280), 2048, 8192),
        steps=300_000,
    )


def ade20k_panoptic(name: str, backbone: ResNetConfig) -> TrainConfig:
    """ADE20K, 150 classes, panoptic, with 6 encoder layers."""
    files = {
        part: CocoFiles(
            json_file=f"ade20k_panoptic_{part}.json",
            images=f"images/{split}",
            panoptic=f"ade20k_panoptic_{part}",
        )
        for part, split in (("train", "training"), ("val", "validation"))
    }
    return _recipe(
        name,
        "ade20k-panoptic",
        CocoData(root="data/ade20k", train=files["train"], val=files["val"]),
        _architecture(150, backbone, encoder_layers=6),
        _semantic_crops((640, 640), 640, 2560),
        steps=720_000,
    )


def coco_panoptic(
    name: str, backbone: ResNetConfig | SwinConfig, longest_px: int = 1333
) -> TrainConfig:
    """COCO, 133 classes, panoptic; ResNets have 6 encoder layers. DETR's crops, no colours."""
    train, val = (
        CocoFiles(
            json_file=f"annotations/panoptic_{part}2017.json",
            images=f"{part}2017",
            panoptic=f"annotations/panoptic_{part}2017",
        )
        for part in ("train", "val")
    )
    crops = CropPhase(
        crop_hw=(longest_px, longest_px),
        short_sides_px=tuple(range(480, 801, 32)),
        longest_edge_px=longest_px,
        pre_crop=PreCrop(),
    )
    config = _recipe(
        name,
        "coco-panoptic",
        CocoData(root="data/coco", train=train, val=val),
        _architecture(133, backbone, encoder_layers=6 if isinstance(backbone, ResNetConfig) else 0),
        AugmentConfig(phases=(crops,), brightness=0, contrast=0, saturation=0),
        steps=554_400,
        batch=64,
    )
    steps = {"steps_at": (369_600,)}
    if isinstance(backbone, ResNetConfig):
        steps["warmup_steps"] = 10  # type: ignore[assignment]
    return config.model_copy(update={"optimizer": config.optimizer.model_copy(update=steps)})


def _recipe(
    name: str,
    dataset: str,
    data: DataConfig,
    architecture: ArchitectureConfig,
    augmentation: AugmentConfig,
    *,
    steps: int,
    batch: int = 16,
) -> TrainConfig:
    """What all have in common; sizes and thresholds in use are those of the released models."""
    released = get_preset(dataset)
    taxonomy = released.taxonomy()
    return TrainConfig(
        name=name,
        architecture=architecture,
        taxonomy=taxonomy,
        preprocessing=released.preprocessing(TrainConfig.model_fields["preprocessing"].default),
        postprocessing=released.postprocessing(),
        data=data,
        augmentation=augmentation,
        optimizer=_optimizer(architecture),
        steps=steps,
        batch=batch,
        workers=8,
        data_credit=taxonomy.name,
    )


def _optimizer(architecture: ArchitectureConfig) -> OptimizerConfig:
    if isinstance(architecture.backbone, SwinConfig):
        return OptimizerConfig(
            learning_rate=6e-5,
            backbone_multiplier=1.0,
            weight_decay=0.01,
            warmup_steps=1500,
            warmup_factor=1e-6,
        )
    return OptimizerConfig(learning_rate=1e-4, backbone_multiplier=0.1, weight_decay=1e-4)


def _architecture(
    num_classes: int,
    backbone: ResNetConfig | SwinConfig,
    kind: Kind = "maskformer",
    encoder_layers: int = 0,
) -> ArchitectureConfig:
    decoder = TransformerDecoderConfig(
        queries=num_classes if kind == "per_pixel_plus" else 100,
        input_projection=encoder_layers == 0,
    )
    return ArchitectureConfig(
        kind=kind,
        num_classes=num_classes,
        backbone=backbone,
        pixel_decoder=PixelDecoderConfig(encoder_layers=encoder_layers),
        transformer_decoder=None if kind == "per_pixel" else decoder,
    )


def _semantic_crops(
    crop_hw: tuple[int, int],
    side_px: int,
    longest_px: int,
    *,
    largest_tenths: int = 20,
    pad: bool = True,
) -> AugmentConfig:
    """The shorter side is a half to `largest_tenths` / 10 of `side_px`, in tenths of it."""
    phase = CropPhase(
        crop_hw=crop_hw,
        short_sides_px=tuple(side_px * tenths // 10 for tenths in range(5, largest_tenths + 1)),
        longest_edge_px=longest_px,
        pad=pad,
    )
    return AugmentConfig(phases=(phase,), colors="ssd")
