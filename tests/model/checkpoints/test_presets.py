"""The presets are sound, and the right one is found."""

import pytest

from model.checkpoints.presets import PRESETS, get_preset, guess_preset
from model.config import (
    ArchitectureConfig,
    PixelDecoderConfig,
    PreprocessingConfig,
    ResNetConfig,
    SwinConfig,
)
from model.errors import InvalidParameterError

THINGS = {
    "ade20k-semantic": 100,
    "ade20k-640": 100,
    "ade20k-full": 0,
    "ade20k-panoptic": 100,
    "coco-panoptic": 80,
    "coco-stuff-10k": 80,
    "cityscapes": 8,
    "mapillary-vistas": 37,
}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_taxonomy(preset):
    classes = preset.taxonomy().classes
    assert len(classes) == preset.classes
    assert sum(c.is_thing for c in classes) == THINGS[preset.name]
    assert len({c.name for c in classes}) == len({c.category_id for c in classes}) == len(classes)
    assert preset.mode in preset.taxonomy().modes


def test_some_facts():
    ade, coco = (PRESETS[n].taxonomy().classes for n in ("ade20k-semantic", "coco-panoptic"))
    assert (ade[0].name, ade[0].category_id, ade[0].is_thing) == ("wall", 1, False)
    assert (coco[0].name, coco[0].is_thing, coco[80].is_thing) == ("person", True, False)
    assert (coco[132].name, coco[132].category_id) == ("rug-merged", 200)
    panoptic = PRESETS["coco-panoptic"]
    assert panoptic.preprocessing(PreprocessingConfig()).pad_to_px == 1
    assert panoptic.postprocessing().scores_at == "output"
    assert PRESETS["ade20k-panoptic"].postprocessing().score_threshold == 0.7


def network(classes, backbone=None, encoder_layers=0):
    return ArchitectureConfig(
        num_classes=classes,
        backbone=backbone or ResNetConfig(),
        pixel_decoder=PixelDecoderConfig(encoder_layers=encoder_layers),
    )


@pytest.mark.parametrize(
    ("hub_name", "classes", "expected"),
    [
        ("maskformer-swin-tiny-ade", 150, "ade20k-semantic"),
        ("maskformer-swin-base-ade", 150, "ade20k-640"),
        ("maskformer-swin-large-ade", 150, "ade20k-640"),
        ("maskformer-resnet50-ade", 150, "ade20k-semantic"),
        ("maskformer-swin-large-coco", 133, "coco-panoptic"),
        ("maskformer-resnet101-coco-stuff", 171, "coco-stuff-10k"),
        ("maskformer-resnet101-cityscapes", 19, "cityscapes"),
        ("maskformer-resnet50-vistas", 65, "mapillary-vistas"),
        ("maskformer-resnet101-ade20k-full", 847, "ade20k-full"),
        ("maskformer-swin-tiny-ade", 133, "coco-panoptic"),  # fine-tuned: the classes decide
        ("maskformer-swin-tiny-ade", 4, None),
        ("", 847, "ade20k-full"),
        ("", 150, "ade20k-semantic"),
        ("", 12, None),
    ],
)
def test_found_by_hub_name_then_by_classes(hub_name, classes, expected):
    found = guess_preset(network(classes), hub_name)
    assert (found and found.name) == expected


def test_150_classes_are_told_apart_by_architecture():
    assert guess_preset(network(150, encoder_layers=6)).name == "ade20k-panoptic"
    assert guess_preset(network(150, SwinConfig(window=12))).name == "ade20k-640"
    assert guess_preset(network(150, SwinConfig(window=7))).name == "ade20k-semantic"


def test_an_unknown_name_lists_all():
    with pytest.raises(InvalidParameterError, match=r"cityscapes.*got 'city'"):
        get_preset("city")
