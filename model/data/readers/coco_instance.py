"""COCO instances: one JSON file with polygons or run lengths, and a folder of pictures.

An example's pixels belong to one segment each, so overlapping instances are painted one over the
other, the larger first: small ones in front stay whole, and one that is hidden altogether is left
out. What no instance covers is void. Source of the format: cocodataset.org, "Object Detection".
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.config import Taxonomy
from model.data.example import Example, ExampleSegment
from model.data.readers.coco_json import category_indices, check_keys, pictures_by_id
from model.data.readers.files import read_image, read_json
from model.data.readers.label_map import panoptic_example
from model.errors import DatasetError
from model.inference.encode.rle import rle_decode


class CocoInstance:
    """All pictures of one JSON file, in its order; some may have no instance.

    Args:
        json_path: holds `images`, `annotations` and `categories`.
        images: folder of the pictures.
        taxonomy: its class names are looked for among the file's categories.

    Raises:
        DatasetError: the JSON is missing or not of this form.
    """

    def __init__(self, json_path: Path, images: Path, taxonomy: Taxonomy) -> None:
        content = read_json(json_path)
        names = pictures_by_id(content, json_path)
        if not names:
            raise DatasetError(f"expected pictures in {json_path}, got none")
        self._pictures = [images / name for name in names.values()]
        for row in content["images"]:
            check_keys(row, ("height", "width"), json_path)
        self._sizes = [(row["height"], row["width"]) for row in content["images"]]
        by_picture: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in content["annotations"]:
            check_keys(row, ("image_id", "category_id", "segmentation"), json_path)
            if row["image_id"] not in names:
                raise DatasetError(
                    f"expected image ids listed in {json_path}, got {row['image_id']}"
                )
            by_picture[row["image_id"]].append(row)
        self._annotations = [by_picture[id_] for id_ in names]
        self._class_index = category_indices(content, taxonomy)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._pictures)

    def name(self, index: int) -> str:
        """File name of the picture."""
        return self._pictures[index].name

    def __getitem__(self, index: int) -> Example:
        """The picture at `index`.

        Raises:
            DatasetError: a file is missing or broken, sizes differ, a category is unknown.
        """
        path, hw = self._pictures[index], self._sizes[index]
        rows = self._annotations[index]
        masks = [_mask(row["segmentation"], hw, path) for row in rows]
        ids = np.zeros(hw, np.int32)
        for place in sorted(range(len(rows)), key=lambda i: -int(masks[i].sum())):
            ids[masks[place]] = place + 1
        return panoptic_example(
            read_image(path, hw), ids, lambda id_: self._segment(id_, rows[id_ - 1], path)
        )

    def _segment(self, id_: int, row: dict[str, Any], path: Path) -> ExampleSegment:
        if row["category_id"] not in self._class_index:
            raise DatasetError(
                f"expected categories of the class list for {path}, got {row['category_id']}"
            )
        index = self._class_index[row["category_id"]]
        return ExampleSegment(id_, index, bool(row.get("iscrowd", 0)))


def _mask(segmentation: Any, hw: tuple[int, int], path: Path) -> NDArray[np.bool_]:
    """(h, w) of polygons [[x, y, x, y, ...], ...] or of run lengths, plain or compressed."""
    from pycocotools import mask as coco_mask

    try:
        counts = segmentation
        if isinstance(segmentation, list):
            counts = coco_mask.merge(coco_mask.frPyObjects(segmentation, *hw))
        counts = counts["counts"]
        return rle_decode(counts.decode() if isinstance(counts, bytes) else counts, hw)
    except Exception as error:  # the library raises bare ones
        raise DatasetError(
            f"expected polygons or run lengths of {hw[1]} x {hw[0]} px for {path}, "
            f"got {segmentation!r:.60}"
        ) from error
