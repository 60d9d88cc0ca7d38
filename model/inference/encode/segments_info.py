"""The rows of an answer as plain values: what JSON answers and panoptic PNGs list."""

from collections.abc import Sequence
from typing import Any

from model.config import ClassInfo
from model.structures import Segmentation


def segments_info(segmentation: Segmentation, classes: Sequence[ClassInfo]) -> list[dict[str, Any]]:
    """One dict per segment, in the order of its rows.

    Args:
        segmentation: any mode.
        classes: of the model's taxonomy.

    Returns:
        id, label, category_id (the data set's), class_index (the network's), is_thing, score
        (None in semantic mode), area in pixels, bbox as left, top, width, height in pixels.
    """
    rows = []
    for segment in segmentation.segments:
        info = classes[segment.class_index]
        rows.append(
            {
                "id": segment.id,
                "label": info.name,
                "category_id": info.category_id,
                "class_index": segment.class_index,
                "is_thing": info.is_thing,
                "score": segment.score,
                "area": segment.area_px,
                "bbox": list(segment.bbox_xywh),
            }
        )
    return rows
