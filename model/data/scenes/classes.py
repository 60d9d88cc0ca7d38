"""The classes of the drawn scenes, in their fixed order."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class SceneClass:
    """One class of the drawn scenes.

    Attributes:
        name: English name, lower case.
        is_thing: True for countable objects, False for background.
        color: Display colour (r, g, b), 0..255.
    """

    name: str
    is_thing: bool
    color: RGB


CLASSES: tuple[SceneClass, ...] = (
    SceneClass("sky", False, (126, 186, 232)),
    SceneClass("building", False, (178, 132, 110)),
    SceneClass("road", False, (112, 100, 136)),
    SceneClass("pavement", False, (226, 188, 208)),
    SceneClass("grass", False, (150, 206, 98)),
    SceneClass("tree", False, (52, 130, 70)),
    SceneClass("water", False, (44, 108, 188)),
    SceneClass("mountain", False, (142, 156, 150)),
    SceneClass("car", True, (228, 64, 72)),
    SceneClass("person", True, (250, 150, 40)),
    SceneClass("bicycle", True, (166, 74, 200)),
    SceneClass("lamp", True, (250, 222, 80)),
    SceneClass("sign", True, (40, 196, 190)),
    SceneClass("boat", True, (240, 110, 170)),
)

SKY, BUILDING, ROAD, PAVEMENT, GRASS, TREE, WATER, MOUNTAIN = range(8)
CAR, PERSON, BICYCLE, LAMP, SIGN, BOAT = range(8, 14)
