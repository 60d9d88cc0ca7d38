"""Average precision of instances, computed by COCO's own code.

Source: cocodataset.org, "Detection Evaluate"; pycocotools does the matching.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.example import Example
from model.inference.encode.rle import rle_counts, rle_string
from model.inference.masks import box_of_mask, runs_by_id
from model.structures import Segmentation

_DETECTIONS = 100  # of a picture that count, as in COCO


@dataclass(frozen=True, eq=False)
class InstanceScores:
    """Shares in [0, 1]; NaN where no instance of the truth is.

    Attributes:
        ap: mean over classes and the IoUs 0.50, 0.55, ..., 0.95.
        ap50: at IoU 0.50.
        ap75: at IoU 0.75.
        per_class: (K,) like `ap`.
        detections: how many of a picture count, by descending score.
    """

    ap: float
    ap50: float
    ap75: float
    per_class: NDArray[np.float64]
    detections: int


@dataclass
class InstanceRows:
    """COCO annotations of truth and answers, collected picture by picture.

    Attributes:
        is_thing: of the K classes; the others count for nothing.
        pictures: COCO `images`.
        truth: COCO `annotations` of the truth.
        found: of the answers, with `score`.
    """

    is_thing: Sequence[bool]
    pictures: list[dict[str, Any]] = field(default_factory=list)
    truth: list[dict[str, Any]] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)

    def add(self, example: Example, answer: Segmentation) -> None:
        """Collect one picture.

        Args:
            example: the truth.
            answer: in instance mode.
        """
        height, width = example.panoptic.shape
        image_id = len(self.pictures) + 1
        self.pictures.append({"id": image_id, "height": height, "width": width})
        things = [s for s in example.segments if self.is_thing[s.class_index]]
        all_runs = runs_by_id(example.panoptic, [s.id for s in things])
        for segment, runs in zip(things, all_runs, strict=True):
            box = box_of_mask(example.panoptic == segment.id)
            row = _row(self.truth, image_id, segment.class_index, runs, (height, width), box)
            self.truth.append(row | {"iscrowd": int(segment.is_crowd)})
        for found, runs in zip(answer.segments, rle_counts(answer), strict=True):
            if self.is_thing[found.class_index]:
                box = found.bbox_xywh
                row = _row(self.found, image_id, found.class_index, runs, (height, width), box)
                self.found.append(row | {"iscrowd": 0, "score": found.score})

    def scores(self, most_found: int = _DETECTIONS) -> InstanceScores:
        """Scores of all pictures.

        Args:
            most_found: answers of a picture that count; COCO's 100, or more where pictures have
                more instances.
        """
        precision = self._precision(most_found)  # (IoUs, recalls, K), -1 where undefined
        per_class = np.array([_mean(precision[..., k]) for k in range(len(self.is_thing))])
        return InstanceScores(
            ap=_mean(precision),
            ap50=_mean(precision[0]),
            ap75=_mean(precision[5]),
            per_class=per_class,
            detections=most_found,
        )

    def _precision(self, most_found: int) -> NDArray[np.float64]:
        from pycocotools.cocoeval import COCOeval

        if not self.truth:
            return np.full((10, 101, len(self.is_thing)), -1.0)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            evaluation = COCOeval(self._coco(self.truth), self._coco(self.found), "segm")
            evaluation.params.maxDets = [most_found]
            evaluation.params.areaRng = evaluation.params.areaRng[:1]  # all sizes
            evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
            evaluation.evaluate()
            evaluation.accumulate()
        precision: NDArray[np.float64] = evaluation.eval["precision"][:, :, :, 0, 0]
        return precision

    def _coco(self, annotations: list[dict[str, Any]]) -> Any:
        from pycocotools.coco import COCO

        coco = COCO()
        categories = [{"id": index} for index in range(len(self.is_thing))]
        coco.dataset = {
            "images": self.pictures,
            "annotations": annotations,
            "categories": categories,
        }
        coco.createIndex()
        return coco


def _row(
    rows: list[dict[str, Any]],
    image_id: int,
    class_index: int,
    runs: NDArray[np.int64],
    hw: tuple[int, int],
    box: tuple[int, int, int, int],
) -> dict[str, Any]:
    return {
        "id": len(rows) + 1,
        "image_id": image_id,
        "category_id": class_index,
        "segmentation": {"size": list(hw), "counts": rle_string(runs)},
        "area": int(runs[1::2].sum()),
        "bbox": list(box),
    }


def _mean(precision: NDArray[np.float64]) -> float:
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else float("nan")
