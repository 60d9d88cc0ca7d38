"""The presets against the paper's tables."""

import importlib

import pytest
import torch

from model.config import ArchitectureConfig
from model.data.sources import LayoutData, SceneData
from model.network.maskformer import build_network
from model.training.config import TrainConfig, load_preset, preset_names

# steps, batch, crop, shortest and longest training side, test sides; arXiv 2107.06278, appendix A.
RECIPES = {
    "ade20k": (160_000, 16, (512, 512), (256, 1024, 2048), (512, 2048)),
    "ade20k_full": (200_000, 16, (512, 512), (256, 1024, 2048), (512, 2048)),
    "coco_stuff_10k": (60_000, 32, (640, 640), (320, 960, 2560), (640, 2560)),
    "cityscapes": (90_000, 16, (512, 1024), (512, 2048, 4096), (1024, 2048)),
    "mapillary_vistas": (300_000, 16, (1280, 1280), (1024, 4096, 8192), (2048, 2048)),
    "ade20k_panoptic": (720_000, 16, (640, 640), (320, 1280, 2560), (640, 2560)),
    "coco_panoptic": (554_400, 64, (1333, 1333), (480, 800, 1333), (800, 1333)),
}
WITH_640_PX = (160_000, 16, (640, 640), (320, 1280, 2560), (640, 2560))
CLASSES = {
    "ade20k": 150,
    "ade20k_full": 847,
    "coco_stuff_10k": 171,
    "cityscapes": 19,
    "mapillary_vistas": 65,
    "ade20k_panoptic": 150,
    "coco_panoptic": 133,
}
# Millions of parameters with 150 classes; arXiv 2107.06278, table 1.
MILLIONS = {
    "ade20k_maskformer_r50": 41.3,
    "ade20k_maskformer_r101": 60.3,
    "ade20k_maskformer_swin_tiny": 41.8,
    "ade20k_maskformer_swin_small": 63.1,
    "ade20k_maskformer_swin_base": 101.8,
    "ade20k_maskformer_swin_large": 211.6,
}
OF_THE_PAPER = [
    name
    for name in preset_names()
    if name not in ("scenes", "street_camvid", "nuclei") and not name.endswith("_one_gpu")
]


def dataset_of(name: str) -> str:
    return name.partition("_maskformer_")[0].partition("_per_pixel_")[0]


def parameters(architecture: ArchitectureConfig) -> float:
    with torch.device("meta"):
        network = build_network(architecture)
    return sum(p.numel() for p in network.parameters())


def test_every_row_of_the_zoo_has_a_preset() -> None:
    assert len(OF_THE_PAPER) == 30
    counts = {d: sum(dataset_of(n) == d for n in OF_THE_PAPER) for d in RECIPES}
    assert list(counts.values()) == [9, 5, 5, 2, 1, 2, 6]


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_the_papers_recipe(name: str) -> None:
    config, dataset = load_preset(name), dataset_of(name)
    phase = config.augmentation.phases[0]
    expected = RECIPES[dataset]
    if name.startswith(("ade20k_maskformer_swin_base", "ade20k_maskformer_swin_large")):
        expected = WITH_640_PX
    if name == "coco_panoptic_maskformer_swin_large":
        expected = (*expected[:2], (1000, 1000), (480, 800, 1000), expected[4])
    sides = (min(phase.short_sides_px), max(phase.short_sides_px), phase.longest_edge_px)
    test = (config.preprocessing.shortest_edge_px, config.preprocessing.longest_edge_px)
    assert (config.steps, config.batch, phase.crop_hw, sides, test) == expected
    assert config.architecture.num_classes == CLASSES[dataset]
    assert config.criterion == TrainConfig.model_fields["criterion"].default
    assert (config.augmentation.colors == "ssd") == (dataset != "coco_panoptic")


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_the_papers_optimizer(name: str) -> None:
    config = load_preset(name)
    optimizer, swin = config.optimizer, "swin" in name
    assert optimizer.learning_rate == (6e-5 if swin else 1e-4)
    assert optimizer.weight_decay == (0.01 if swin else 1e-4)
    assert optimizer.backbone_multiplier == (1.0 if swin else 0.1)
    assert optimizer.clip_norm == 0.01 and optimizer.power == 0.9
    assert optimizer.steps_at == ((369_600,) if "coco_panoptic" in name else ())
    assert (config.precision, config.ema_decay) == ("float32", None)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_loads_builds_and_says_how_it_is_run(name: str) -> None:
    config = load_preset(name)
    assert config.name == name
    text = importlib.import_module(f"model.training.presets.{name}").__doc__ or ""
    for word in (f"maskformer train {name}", "Hardware:", "Hours:", "Score:"):
        assert word in text
    count = parameters(config.architecture)
    if name in MILLIONS:  # the table counts the frozen normalisation's numbers, 0.1 of R101
        assert count / 1e6 == pytest.approx(MILLIONS[name], abs=0.12)
    if name in ("scenes", "street_camvid", "nuclei"):
        assert count <= 4_000_000


def test_networks_differ_as_their_names_say() -> None:
    plus = load_preset("ade20k_full_per_pixel_plus_r50").architecture
    assert plus.transformer_decoder and plus.transformer_decoder.queries == 847
    assert load_preset("ade20k_per_pixel_r50").architecture.transformer_decoder is None
    for dataset in ("ade20k_panoptic", "coco_panoptic"):
        with_encoder = load_preset(f"{dataset}_maskformer_r50").architecture
        assert with_encoder.pixel_decoder.encoder_layers == 6
        assert with_encoder.transformer_decoder
        assert not with_encoder.transformer_decoder.input_projection
        assert parameters(with_encoder) / 1e6 == pytest.approx(45, abs=0.5)
    assert load_preset("coco_panoptic_maskformer_swin_tiny").architecture == load_preset(
        "ade20k_maskformer_swin_tiny"
    ).architecture.model_copy(update={"num_classes": 133})


def test_no_preset_of_the_paper_is_drawn() -> None:
    data = [load_preset(name).data for name in OF_THE_PAPER]
    assert not any(isinstance(d, SceneData) for d in data)
    assert {d.layout for d in data if isinstance(d, LayoutData)} == {
        "ade20k",
        "ade20k-full",
        "cityscapes",
        "coco-stuff-10k",
        "mapillary",
    }


@pytest.mark.parametrize("name", ["ade20k_maskformer_r50", "coco_panoptic_maskformer_r50"])
def test_one_gpu_takes_the_same_steps_of_16_pictures(name: str) -> None:
    config, of_the_paper = load_preset(f"{name}_one_gpu"), load_preset(name)
    assert config.batch * config.accumulate == 16 and config.steps == of_the_paper.steps
    assert config.optimizer == of_the_paper.optimizer
    assert config.augmentation == of_the_paper.augmentation
