"""Data as configuration: where pictures come from, and how to open one part of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from model.config import Frozen, PositiveInt, Taxonomy
from model.data.dataset import ExampleSource
from model.data.readers.ade20k import open_ade20k, open_ade20k_full
from model.data.readers.cityscapes import CityscapesPanoptic, open_cityscapes
from model.data.readers.coco_instance import CocoInstance
from model.data.readers.coco_panoptic import CocoPanoptic
from model.data.readers.coco_stuff import open_coco_stuff
from model.data.readers.mapillary import open_mapillary
from model.data.readers.own_folder import open_own_folder
from model.data.scene_dataset import SceneDataset
from model.errors import DatasetError

Part = Literal["train", "val"]
PARTS: tuple[Part, ...] = ("train", "val")

# Seeds of scenes for scoring; training takes seeds below 100,000.
UNSEEN_SEED = 1_000_000


class SceneData(Frozen):
    """Drawn scenes; `val` are scenes that no training run sees.

    Attributes:
        first_seed: of the first scene to train on.
        count: number of scenes to train on.
        hw: height and width of a scene, in pixels.
        cache_dir: folder that keeps drawn scenes.
    """

    kind: Literal["scenes"] = "scenes"
    first_seed: int = Field(default=0, ge=0)
    count: PositiveInt = 6000
    hw: tuple[PositiveInt, PositiveInt] = (256, 384)
    cache_dir: str = "runs/cache"


class FolderData(Frozen):
    """A person's own folder with `classes.json`; see `model.data.readers.own_folder`.

    Attributes:
        root: the folder.
        train: its subfolder to train on; empty where it has no subfolders.
        val: its subfolder to score on.
    """

    kind: Literal["folder"] = "folder"
    root: str
    train: str = "train"
    val: str = "val"


class CocoFiles(Frozen):
    """One part of a data set in a COCO format; paths are relative to the data's root.

    Attributes:
        json_file: panoptic or instance annotations.
        images: folder of the pictures.
        panoptic: folder of the PNGs; None for instance annotations.
    """

    json_file: str
    images: str
    panoptic: str | None = None


class CocoData(Frozen):
    """A data set in a COCO format.

    Attributes:
        root: what the files' paths are relative to.
        train: to train on.
        val: to score on.
    """

    kind: Literal["coco"] = "coco"
    root: str
    train: CocoFiles
    val: CocoFiles


Layout = Literal[
    "ade20k", "ade20k-full", "cityscapes", "cityscapes-panoptic", "coco-stuff-10k", "mapillary"
]


class LayoutData(Frozen):
    """A published data set as it unpacks.

    Attributes:
        layout: which one.
        root: folder that holds its files.
    """

    kind: Literal["layout"] = "layout"
    layout: Layout
    root: str


DataConfig = Annotated[SceneData | FolderData | CocoData | LayoutData, Field(discriminator="kind")]

_LAYOUTS: dict[Layout, Callable[[Path, str, Taxonomy], ExampleSource]] = {
    "ade20k": open_ade20k,
    "ade20k-full": open_ade20k_full,
    "cityscapes": open_cityscapes,
    "cityscapes-panoptic": CityscapesPanoptic,
    "coco-stuff-10k": open_coco_stuff,
    "mapillary": open_mapillary,
}


def open_part(data: DataConfig, part: Part, taxonomy: Taxonomy, scenes: int = 200) -> ExampleSource:
    """The pictures to train on, or those to score on.

    Args:
        data: where they are.
        part: which of the two.
        taxonomy: class indices of the examples are places in it.
        scenes: how many drawn scenes `val` has.

    Raises:
        DatasetError: files are missing or not of the stated form.
    """
    if isinstance(data, SceneData):
        if part == "val":
            return SceneDataset(UNSEEN_SEED, scenes, data.hw)
        return SceneDataset(data.first_seed, data.count, data.hw, Path(data.cache_dir))
    root = Path(data.root)
    if not root.is_dir():
        raise DatasetError(f"expected a data set in the folder {root}, got no such folder")
    if isinstance(data, FolderData):
        return open_own_folder(root, data.train if part == "train" else data.val, taxonomy)
    if isinstance(data, LayoutData):
        return _LAYOUTS[data.layout](root, part, taxonomy)
    files = data.train if part == "train" else data.val
    json_file, images = root / files.json_file, root / files.images
    if files.panoptic is None:
        return CocoInstance(json_file, images, taxonomy)
    return CocoPanoptic(json_file, images, root / files.panoptic, taxonomy)
