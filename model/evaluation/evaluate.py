"""Score a model on annotated pictures, through the same `Segmenter` that serves."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.example import Example
from model.errors import DatasetError
from model.evaluation.panoptic import PanopticScores, count_segments, panoptic_scores
from model.evaluation.semantic import SemanticScores, count_pixels, semantic_scores
from model.inference.segmenter import Segmenter


@dataclass(frozen=True)
class Scores:
    """What `evaluate` measured.

    Attributes:
        images: number of pictures.
        class_names: of the K classes.
        semantic: from semantic answers.
        panoptic: from panoptic answers; None for a model that gives none.
    """

    images: int
    class_names: tuple[str, ...]
    semantic: SemanticScores
    panoptic: PanopticScores | None

    def summary(self) -> dict[str, float]:
        """The main numbers by their usual names, in [0, 1]."""
        numbers = {
            "mIoU": self.semantic.mean_iou,
            "fwIoU": self.semantic.weighted_iou,
            "mACC": self.semantic.mean_accuracy,
            "pACC": self.semantic.pixel_accuracy,
        }
        if self.panoptic is not None:
            parts = {"": self.panoptic.all, "_th": self.panoptic.things, "_st": self.panoptic.stuff}
            for suffix, part in parts.items():
                numbers |= {f"PQ{suffix}": part.pq, f"SQ{suffix}": part.sq, f"RQ{suffix}": part.rq}
        return numbers

    def rows(self) -> list[dict[str, str | float | None]]:
        """One row per class: its name, IoU, accuracy, PQ, SQ, RQ; None where undefined."""
        per_class = self.panoptic.per_class if self.panoptic else (None,) * len(self.class_names)
        return [
            {
                "class": name,
                "IoU": _defined(self.semantic.iou[index]),
                "ACC": _defined(self.semantic.accuracy[index]),
                "PQ": quality.pq if quality else None,
                "SQ": quality.sq if quality else None,
                "RQ": quality.rq if quality else None,
            }
            for index, (name, quality) in enumerate(zip(self.class_names, per_class, strict=True))
        ]


def evaluate(segmenter: Segmenter, examples: Iterable[Example]) -> Scores:
    """Answer every picture in every mode that can be scored, and score the answers.

    Args:
        segmenter: of a model whose class indices are those of the examples.
        examples: read once, one at a time.

    Raises:
        DatasetError: there is no example, or one has a class that the model lacks.
    """
    manifest = segmenter.artifact.manifest
    classes = manifest.taxonomy.classes
    confusion = np.zeros((len(classes) + 1, len(classes) + 1), np.int64)
    counts = np.zeros((len(classes), 4))
    images = 0
    for example in examples:
        images += 1
        truth = class_map(example, len(classes))
        semantic = segmenter.segment(example.image, mode="semantic")
        confusion += count_pixels(semantic.id_map - 1, truth, len(classes))
        if "panoptic" in manifest.modes:
            panoptic = segmenter.segment(example.image, mode="panoptic")
            found = {segment.id: segment.class_index for segment in panoptic.segments}
            counts += count_segments(panoptic.id_map, found, example, len(classes))
    if images == 0:
        raise DatasetError("expected at least one picture to evaluate on, got none")
    return Scores(
        images=images,
        class_names=tuple(info.name for info in classes),
        semantic=semantic_scores(confusion),
        panoptic=panoptic_scores(counts, [info.is_thing for info in classes])
        if "panoptic" in manifest.modes
        else None,
    )


def class_map(example: Example, num_classes: int) -> NDArray[np.int64]:
    """Class index per pixel, K where unlabelled.

    Raises:
        DatasetError: a segment's class is none of the K.
    """
    lookup = np.full(int(example.panoptic.max()) + 1, num_classes, np.int64)
    for segment in example.segments:
        if not 0 <= segment.class_index < num_classes:
            raise DatasetError(
                f"expected class indices below {num_classes}, got {segment.class_index}"
            )
        lookup[segment.id] = segment.class_index
    return lookup[example.panoptic]


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
