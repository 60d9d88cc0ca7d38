"""COCO panoptic: one JSON file, a folder of pictures and a folder of PNGs with segment ids.

COCO itself, ADE20K panoptic, or a person's own. Source of the format: cocodataset.org, "Panoptic
Segmentation".
"""

from pathlib import Path
from typing import Any

from model.config import Taxonomy
from model.data.example import Example, ExampleSegment
from model.data.readers.coco_json import category_indices, check_keys, pictures_by_id
from model.data.readers.files import read_ids, read_image, read_json
from model.data.readers.label_map import panoptic_example
from model.errors import DatasetError


class CocoPanoptic:
    """The annotated pictures of one JSON file, in its order.

    Args:
        json_path: holds `images`, `annotations` and `categories`.
        images: folder of the pictures.
        panoptic: folder of the PNGs.
        taxonomy: its class names are looked for among the file's categories.

    Raises:
        DatasetError: the JSON is missing or not of this form.
    """

    def __init__(self, json_path: Path, images: Path, panoptic: Path, taxonomy: Taxonomy) -> None:
        content = read_json(json_path)
        pictures = pictures_by_id(content, json_path)
        self._annotations: list[dict[str, Any]] = content["annotations"]
        for row in self._annotations:
            check_keys(row, ("image_id", "file_name", "segments_info"), json_path)
            if row["image_id"] not in pictures:
                raise DatasetError(
                    f"expected image ids listed in {json_path}, got {row['image_id']}"
                )
        if not self._annotations:
            raise DatasetError(f"expected annotations in {json_path}, got none")
        self._pictures = [images / pictures[row["image_id"]] for row in self._annotations]
        self._panoptic = panoptic
        self._json_path = json_path
        self._class_index = category_indices(content, taxonomy)

    def __len__(self) -> int:
        """Number of annotated pictures."""
        return len(self._annotations)

    def name(self, index: int) -> str:
        """File name of the picture."""
        return self._pictures[index].name

    def __getitem__(self, index: int) -> Example:
        """The picture at `index`.

        Raises:
            DatasetError: a file is missing or broken, sizes differ, ids or categories are unknown.
        """
        row = self._annotations[index]
        path = self._panoptic / row["file_name"]
        listed = {info["id"]: self._segment(info, path) for info in row["segments_info"]}
        ids = read_ids(path)
        image = read_image(self._pictures[index], (ids.shape[0], ids.shape[1]))
        missing = set(listed)

        def meaning(id_: int) -> ExampleSegment:
            if id_ not in listed:
                raise DatasetError(
                    f"expected only segment ids that {self._json_path} lists in {path}, got {id_}"
                )
            missing.discard(id_)
            return listed[id_]

        example = panoptic_example(image, ids, meaning)
        if missing:
            raise DatasetError(f"expected pixels of segment {min(missing)} in {path}, got none")
        return example

    def _segment(self, info: dict[str, Any], path: Path) -> ExampleSegment:
        check_keys(info, ("id", "category_id"), self._json_path)
        if info["category_id"] not in self._class_index:
            raise DatasetError(
                f"expected categories of the class list for {path}, got {info['category_id']}"
            )
        index = self._class_index[info["category_id"]]
        return ExampleSegment(info["id"], index, bool(info.get("iscrowd", 0)))
