"""A person's own pictures, and CamVid in the same form.

    classes.json              {"name": ..., "ignore_index": 255, "classes": [{"name": ...}, ...]}
    {train,val}/images/NAME.jpg
    {train,val}/labels/NAME.png     one channel; value = class index, or `ignore_index`

A class may state `index` (its value, where that is not its place in the list), `color` and
`is_thing`. Without subfolders the files may lie in `images` and `labels` beside `classes.json`.
"""

from pathlib import Path

from model.checkpoints.taxonomy import read_taxonomy
from model.config import Taxonomy
from model.data.readers.files import PICTURES, list_files, pair_by_stem, read_json
from model.data.readers.label_map import by_category_id
from model.data.readers.labelled import LabelledPictures
from model.errors import CheckpointError, DatasetError

CLASSES = "classes.json"
_IGNORED = 255


def open_own_folder(root: Path, subfolder: str, taxonomy: Taxonomy) -> LabelledPictures:
    """The pictures of one part.

    Args:
        root: holds `classes.json`.
        subfolder: of the part; empty where `images` and `labels` lie in `root` itself.
        taxonomy: the classes that label values are read as.

    Raises:
        DatasetError: files are missing, or `classes.json` lists other classes.
    """
    own = read_classes(root)
    if [c.name for c in own.classes] != [c.name for c in taxonomy.classes]:
        raise DatasetError(
            f"expected the classes {', '.join(c.name for c in taxonomy.classes)} in "
            f"{root / CLASSES}, got {', '.join(c.name for c in own.classes)}"
        )
    folder = root / subfolder
    labels = list_files(folder / "labels", [".png", ".tif", ".tiff"])
    pairs = pair_by_stem(list_files(folder / "images", PICTURES), labels)
    ignored = read_json(root / CLASSES)
    value = ignored.get("ignore_index", _IGNORED) if isinstance(ignored, dict) else _IGNORED
    return LabelledPictures(pairs, by_category_id(own, ignored=[] if value is None else [value]))


def read_classes(root: Path) -> Taxonomy:
    """The classes of `classes.json`.

    Raises:
        DatasetError: the file is missing, no class list, or gives two classes one value.
    """
    try:
        taxonomy = read_taxonomy(root / CLASSES)
    except CheckpointError as error:
        raise DatasetError(str(error)) from error
    values = [c.category_id for c in taxonomy.classes]
    if len(set(values)) != len(values):
        raise DatasetError(
            f"expected a different index per class in {root / CLASSES}, got {values}"
        )
    return taxonomy
