"""A path -> what data set lies there, so that one's own data needs no configuration."""

from pathlib import Path
from typing import Any

from model.config import Taxonomy
from model.data.readers.coco_json import check_keys, own_taxonomy
from model.data.readers.files import read_json
from model.data.readers.own_folder import CLASSES, read_classes
from model.data.sources import CocoData, CocoFiles, DataConfig, FolderData
from model.errors import DatasetError


def detect_data(path: Path) -> tuple[DataConfig, Taxonomy]:
    """Recognise one's own data set, and read its class list.

    Args:
        path: a folder with `classes.json`; a COCO JSON file (panoptic or instances); or a folder
            with such files, in itself or in `annotations`, of which one has `train` and one `val`
            in its name. With one part only, that part is both.

    Raises:
        DatasetError: nothing of the kind is there.
    """
    if (path / CLASSES).is_file():
        return _folder(path), read_classes(path)
    files = [path] if path.is_file() else _json_files(path)
    if not files:
        raise DatasetError(
            f"expected a folder with {CLASSES}, or COCO annotations (*.json), got {path}"
        )
    root = path if path.is_dir() else path.parent
    parts = {
        name: next((f for f in files if name in f.stem), files[0]) for name in ("train", "val")
    }
    contents = {file: read_json(file) for file in set(parts.values())}
    train, val = (_coco(contents[file], file) for file in parts.values())
    taxonomy = own_taxonomy(contents[parts["train"]], parts["train"])
    return CocoData(root=str(root.absolute()), train=train, val=val), taxonomy


def _folder(path: Path) -> FolderData:
    parts = [name for name in ("train", "val") if (path / name).is_dir()] or [""]
    return FolderData(root=str(path.absolute()), train=parts[0], val=parts[-1])


def _json_files(folder: Path) -> list[Path]:
    """Those for panoptic before those for instances before others, such as COCO's captions."""
    files = sorted([*folder.glob("*.json"), *(folder / "annotations").glob("*.json")])
    return sorted(
        files, key=lambda file: ("panoptic" not in file.stem, "instance" not in file.stem)
    )


def _coco(content: Any, file: Path) -> CocoFiles:
    """Folders beside the JSON file, found by the first names that it lists."""
    check_keys(content, ("images", "annotations"), file)
    if not content["images"] or not content["annotations"]:
        raise DatasetError(f"expected pictures and annotations in {file}, got none")
    first = content["annotations"][0]
    images = _folder_of(content["images"][0].get("file_name", ""), file, "images")
    if "segments_info" not in first:
        return CocoFiles(json_file=str(file.absolute()), images=images)
    panoptic = _folder_of(first.get("file_name", ""), file, "panoptic")
    return CocoFiles(json_file=str(file.absolute()), images=images, panoptic=panoptic)


def _folder_of(name: str, file: Path, usual: str) -> str:
    """The folder that holds the file of that name.

    Beside the JSON, or named like it, like a word of its name (`train2017` of
    `panoptic_train2017.json`), or as usual.
    """
    above = file.absolute().parent
    words = [file.stem, *file.stem.split("_"), usual]
    places = [above, *(base / word for base in (above, above.parent) for word in words)]
    places += [base / usual / word for base in (above, above.parent) for word in words]
    for place in places:
        if name and (place / name).is_file():
            return str(place)
    raise DatasetError(f"expected {name or 'file names'} of {file} in a folder near it, got none")
