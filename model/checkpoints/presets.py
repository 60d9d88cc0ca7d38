"""The released models' data sets: test size, answer defaults and classes of each.

Sources: the original's test configurations (arXiv 2107.06278, appendix A). The hub's ResNet
copies all state 800/1333 instead, which does not reproduce the released scores.
"""

import re
from dataclasses import dataclass

from model.checkpoints.taxonomy import BUNDLED, read_taxonomy
from model.config import (
    ArchitectureConfig,
    PostprocessingConfig,
    PreprocessingConfig,
    ScoresAt,
    SwinConfig,
    Taxonomy,
)
from model.errors import InvalidParameterError
from model.structures import Mode


@dataclass(frozen=True)
class Preset:
    """What the weights of one data set need around them.

    Attributes:
        classes: K.
        taxonomy_name: file name of the bundled class list, without ending.
        edges_px: shortest edge after resizing, limit of the longest.
        pad_to_px: padded sides are multiples of this.
        score_threshold: least class probability of a panoptic segment.
        scores_at: as in `PostprocessingConfig`.
    """

    name: str
    classes: int
    taxonomy_name: str
    edges_px: tuple[int, int]
    mode: Mode = "semantic"
    pad_to_px: int = 32
    score_threshold: float = 0.8
    scores_at: ScoresAt = "input"

    def taxonomy(self) -> Taxonomy:
        """The data set's classes."""
        return read_taxonomy(BUNDLED / f"{self.taxonomy_name}.json")

    def preprocessing(self, base: PreprocessingConfig) -> PreprocessingConfig:
        """`base` with this data set's sizes."""
        shortest, longest = self.edges_px
        return base.model_copy(
            update={
                "shortest_edge_px": shortest,
                "longest_edge_px": longest,
                "pad_to_px": self.pad_to_px,
            }
        )

    def postprocessing(self) -> PostprocessingConfig:
        """This data set's answer defaults."""
        return PostprocessingConfig(
            mode=self.mode, score_threshold=self.score_threshold, scores_at=self.scores_at
        )


_TABLE = (
    Preset("ade20k-semantic", 150, "ade20k", (512, 2048)),
    Preset("ade20k-640", 150, "ade20k", (640, 2560)),
    Preset("ade20k-full", 847, "ade20k-full", (512, 2048)),
    Preset("ade20k-panoptic", 150, "ade20k", (640, 2560), "panoptic", 32, 0.7, "output"),
    Preset("coco-panoptic", 133, "coco-panoptic", (800, 1333), "panoptic", 1, 0.8, "output"),
    Preset("coco-stuff-10k", 171, "coco-stuff-10k", (640, 2560)),
    Preset("cityscapes", 19, "cityscapes", (1024, 2048)),
    Preset("mapillary-vistas", 65, "mapillary-vistas", (2048, 2048)),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _TABLE}

_HUB_NAMES = (
    (r"-ade20k-full$", "ade20k-full"),
    (r"swin-(base|large)-ade$", "ade20k-640"),
    (r"-ade$", "ade20k-semantic"),
    (r"-coco-stuff$", "coco-stuff-10k"),
    (r"-coco$", "coco-panoptic"),
    (r"-cityscapes$", "cityscapes"),
    (r"-vistas$", "mapillary-vistas"),
)
_BY_CLASSES = {p.classes: p.name for p in _TABLE if p.classes != 150}


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InvalidParameterError: there is none; the message lists all.
    """
    if name not in PRESETS:
        raise InvalidParameterError(f"expected a preset of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]


def guess_preset(architecture: ArchitectureConfig, hub_name: str = "") -> Preset | None:
    """The preset that fits the hub's name, else the number of classes.

    Of the models with 150 classes, those with encoder layers were trained for panoptic answers,
    those with a Swin of window 12 at 640 pixels.

    Args:
        architecture: as read off the weights.
        hub_name: repository name without owner; empty where unknown.
    """
    for pattern, name in _HUB_NAMES:
        if re.search(pattern, hub_name) and PRESETS[name].classes == architecture.num_classes:
            return PRESETS[name]
    if architecture.num_classes != 150:
        name = _BY_CLASSES.get(architecture.num_classes, "")
        return PRESETS.get(name)
    if architecture.pixel_decoder.encoder_layers:
        return PRESETS["ade20k-panoptic"]
    backbone = architecture.backbone
    large = isinstance(backbone, SwinConfig) and backbone.window == 12
    return PRESETS["ade20k-640" if large else "ade20k-semantic"]
