"""Small data sets in the layouts of the readers, written by the tests themselves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model.config import ClassInfo, Taxonomy


def taxonomy(*names: str, things: tuple[str, ...] = (), first_id: int = 0) -> Taxonomy:
    return Taxonomy(
        name="test",
        classes=tuple(
            ClassInfo(
                name=n, category_id=first_id + i, is_thing=n in things, color=(i % 256, 99, 9)
            )
            for i, n in enumerate(names)
        ),
    )


def picture(path: Path, hw: tuple[int, int] = (4, 6)) -> Path:
    """A lossless picture whose red channel counts its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((*hw, 3), np.uint8)
    image[..., 0] = np.arange(hw[0] * hw[1]).reshape(hw)
    options = {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(image).save(path, **options)
    return path


def labels(path: Path, values: Any, dtype: type = np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, dtype)).save(path)
    return path


def ids_png(path: Path, ids: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = np.array(ids)[..., None] >> np.array([0, 8, 16]) & 255
    Image.fromarray(channels.astype(np.uint8)).save(path)
    return path


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def own_folder(root: Path, values: Any = ((0, 0, 1), (1, 255, 1))) -> Path:
    """Two pictures to train on, one to score on."""
    classes = [{"index": 0, "name": "sky", "color": [1, 2, 3]}, {"index": 1, "name": "road"}]
    write_json(root / "classes.json", {"name": "own", "ignore_index": 255, "classes": classes})
    for part, names in (("train", ("a", "b")), ("val", ("c",))):
        for name in names:
            picture(root / part / "images" / f"{name}.png", (2, 3))
            labels(root / part / "labels" / f"{name}.png", values)
    return root


def coco_panoptic(root: Path, part: str = "train", **changes: Any) -> Path:
    """One picture: cell 1000 (thing), cell 70000 (thing, crowd), ground 3 (stuff), void."""
    picture(root / part / "one.webp", (2, 4))
    ids_png(root / f"panoptic_{part}" / "one.png", [[1000, 1000, 70000, 0], [3, 3, 3, 3]])
    segments = [
        {"id": 1000, "category_id": 7, "iscrowd": 0},
        {"id": 70000, "category_id": 7, "iscrowd": 1},
        {"id": 3, "category_id": 9},
    ]
    content = {
        "images": [{"id": 5, "file_name": "one.webp", "height": 2, "width": 4}],
        "annotations": [{"image_id": 5, "file_name": "one.png", "segments_info": segments}],
        "categories": [
            {"id": 7, "name": "cell", "isthing": 1, "color": [9, 8, 7]},
            {"id": 9, "name": "ground", "isthing": 0},
        ],
    }
    return write_json(root / "annotations" / f"panoptic_{part}.json", content | changes)


def coco_instance(root: Path, segmentations: list[Any], **changes: Any) -> Path:
    """One picture of 10 x 10 px with one `cell` per segmentation."""
    picture(root / "images" / "one.png", (10, 10))
    content = {
        "images": [{"id": 1, "file_name": "one.png", "height": 10, "width": 10}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 4, "segmentation": s, "iscrowd": 0}
            for i, s in enumerate(segmentations)
        ],
        "categories": [{"id": 4, "name": "cell"}],
    }
    return write_json(root / "instances.json", content | changes)
