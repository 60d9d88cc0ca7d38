"""The drawn scenes' classes as a taxonomy."""

from model.config import ClassInfo, Taxonomy
from model.data.scenes import CLASSES

SCENE_TAXONOMY = Taxonomy(
    name="scenes",
    classes=tuple(
        ClassInfo(name=c.name, category_id=i + 1, is_thing=c.is_thing, color=c.color)
        for i, c in enumerate(CLASSES)
    ),
)
