"""Cityscapes, fine annotations.

    leftImg8bit/{train,val}/CITY/STEM_leftImg8bit.png
    gtFine/{train,val}/CITY/STEM_gtFine_labelIds.png      semantic: label id
    gtFine/{train,val}/CITY/STEM_gtFine_instanceIds.png   panoptic: label id, or 1000 * id + number

The 19 classes that are evaluated have the label ids of the taxonomy; the others are void.
"""

from pathlib import Path

from model.config import Taxonomy
from model.data.example import Example, ExampleSegment
from model.data.readers.files import list_files, read_image, read_labels
from model.data.readers.label_map import by_category_id, panoptic_example
from model.data.readers.labelled import LabelledPictures
from model.errors import DatasetError

# Label ids that exist without being evaluated; 255 is the licence plate's -1 in eight bits.
_IGNORED = (*range(7), 9, 10, 14, 15, 16, 18, 29, 30, 255)
_PICTURE, _LABELS, _INSTANCES = (
    "_leftImg8bit.png",
    "_gtFine_labelIds.png",
    "_gtFine_instanceIds.png",
)


def open_cityscapes(root: Path, part: str, taxonomy: Taxonomy) -> LabelledPictures:
    """Semantic labels; see the module. Raises `DatasetError` where files are missing."""
    label_map = by_category_id(taxonomy, ignored=_IGNORED)
    return LabelledPictures(_pairs(root, part, _LABELS), label_map)


class CityscapesPanoptic:
    """Things one by one; things annotated as a group are crowds.

    Args:
        root: holds `leftImg8bit` and `gtFine`.
        part: train or val.
        taxonomy: of the evaluated classes.
    """

    def __init__(self, root: Path, part: str, taxonomy: Taxonomy) -> None:
        self._pairs = _pairs(root, part, _INSTANCES)
        self._is_thing = [info.is_thing for info in taxonomy.classes]
        self._labels = by_category_id(taxonomy, ignored=_IGNORED)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._pairs)

    def name(self, index: int) -> str:
        """File name of the picture."""
        return self._pairs[index][0].name

    def __getitem__(self, index: int) -> Example:
        """The picture at `index`.

        Raises:
            DatasetError: a file is missing or broken, sizes differ, an id is unknown.
        """
        image_path, ids_path = self._pairs[index]
        ids = read_labels(ids_path)
        image = read_image(image_path, (ids.shape[0], ids.shape[1]))
        return panoptic_example(image, ids, lambda id_: self._segment(id_, ids_path))

    def _segment(self, id_: int, path: Path) -> ExampleSegment | None:
        label = id_ // 1000 if id_ >= 1000 else id_
        if label in self._labels.ignored:
            return None
        if label not in self._labels.class_index:
            raise DatasetError(f"expected label ids of Cityscapes in {path}, got {id_}")
        index = self._labels.class_index[label]
        return ExampleSegment(id_, index, is_crowd=id_ < 1000 and self._is_thing[index])


def _pairs(root: Path, part: str, ending: str) -> list[tuple[Path, Path]]:
    labels = list_files(root / "gtFine" / part, [ending.lower()], below=True)
    pictures = root / "leftImg8bit" / part
    return [
        (pictures / path.parent.name / f"{path.name[: -len(ending)]}{_PICTURE}", path)
        for path in labels
    ]
