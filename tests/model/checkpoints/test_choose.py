"""Classes, sizes and answer defaults: wishes, then the source, then the preset, then the paper."""

import json

import pytest

from model.checkpoints.choose import Wishes, choose
from model.checkpoints.foreign import Foreign
from model.checkpoints.presets import PRESETS
from model.config import ArchitectureConfig, PreprocessingConfig, ResNetConfig
from model.errors import CheckpointError, InvalidParameterError

HUB_SIZES = PreprocessingConfig(shortest_edge_px=800, longest_edge_px=1333)
CITY = PRESETS["cityscapes"].taxonomy()
CITY_LABELS = tuple(c.name for c in CITY.classes)


def network(classes, kind="maskformer"):
    if kind == "per_pixel":
        return ArchitectureConfig(
            kind=kind, num_classes=classes, backbone=ResNetConfig(), transformer_decoder=None
        )
    return ArchitectureConfig(num_classes=classes, backbone=ResNetConfig())


def foreign(**fields):
    return Foreign(state={}, source="somewhere", **fields)


def edges(choice):
    return choice.preprocessing.shortest_edge_px, choice.preprocessing.longest_edge_px


def told(choice, *words):
    return any(all(word in note for word in words) for note in choice.notes)


def test_wrong_sizes_of_the_hub_are_replaced_and_this_is_said():
    source = foreign(hub_name="maskformer-resnet101-cityscapes", preprocessing=HUB_SIZES)
    choice = choose(source, network(19), Wishes())
    assert edges(choice) == (1024, 2048)
    assert told(choice, "800", "1333", "1024", "2048")
    assert choice.taxonomy == CITY
    assert choice.postprocessing.mode == "semantic"


def test_other_sizes_that_the_source_states_are_kept():
    stated = PreprocessingConfig(shortest_edge_px=384, longest_edge_px=1000)
    choice = choose(foreign(preprocessing=stated), network(133), Wishes())
    assert edges(choice) == (384, 1000)
    assert choice.preprocessing.pad_to_px == 1
    choice = choose(foreign(preprocessing=stated), network(133), Wishes(preset="coco-panoptic"))
    assert edges(choice) == (800, 1333)


def test_pictures_keep_their_size_where_asked():
    choice = choose(foreign(preprocessing=HUB_SIZES), network(19), Wishes(shortest_edge_px=0))
    assert edges(choice) == (None, 2048)
    assert told(choice, "own size")


def test_the_coco_models_answer_panoptic():
    choice = choose(foreign(hub_name="maskformer-swin-tiny-coco"), network(133), Wishes())
    assert choice.postprocessing.mode == "panoptic"
    assert choice.preprocessing.pad_to_px == 1
    assert sum(c.is_thing for c in choice.taxonomy.classes) == 80


def test_a_preset_that_is_only_assumed_is_said():
    choice = choose(foreign(), network(65), Wishes())
    assert choice.taxonomy.name == "Mapillary Vistas v1.2"
    assert told(choice, "mapillary-vistas", "assumed", "65 classes")


def test_mean_and_deviation_stay_the_sources():
    stated = HUB_SIZES.model_copy(update={"mean": (1.0, 2.0, 3.0)})
    choice = choose(foreign(preprocessing=stated), network(19), Wishes())
    assert choice.preprocessing.mean == (1.0, 2.0, 3.0)


def test_labels_that_agree_loosely():
    labels = tuple(f" {name.upper()}, something else" for name in CITY_LABELS)
    choice = choose(foreign(labels=labels), network(19), Wishes())
    assert choice.taxonomy == CITY
    assert told(choice, "agree")


def test_a_few_labels_that_differ_are_kept():
    labels = (*CITY_LABELS[:18], "tricycle")
    choice = choose(foreign(labels=labels), network(19), Wishes())
    assert choice.taxonomy.classes[18].name == "tricycle"
    assert choice.taxonomy.classes[18].is_thing
    assert told(choice, "1 class names differ", "tricycle")


def test_other_labels_mean_another_data_set():
    labels = tuple(f"organ {i}" for i in range(19))
    choice = choose(foreign(labels=labels, preprocessing=HUB_SIZES), network(19), Wishes())
    assert tuple(c.name for c in choice.taxonomy.classes) == labels
    assert choice.taxonomy.modes == ("semantic",)
    assert edges(choice) == (800, 1333)
    assert told(choice, "not those of cityscapes")
    choice = choose(foreign(labels=labels), network(19), Wishes(preset="cityscapes"))
    assert edges(choice) == (1024, 2048)
    assert choice.taxonomy.classes[0].name == "organ 0"


def test_shuffled_labels_keep_their_own_order():
    labels = CITY_LABELS[::-1]
    choice = choose(foreign(labels=labels), network(19), Wishes())
    assert tuple(c.name for c in choice.taxonomy.classes) == labels


def test_unknown_classes():
    choice = choose(foreign(), network(3), Wishes())
    assert [c.name for c in choice.taxonomy.classes] == ["class_0", "class_1", "class_2"]
    assert choice.postprocessing.mode == "semantic"
    assert edges(choice) == (512, 2048)
    assert told(choice, "--things")
    choice = choose(foreign(labels=("sky", "cat", "dog")), network(3), Wishes(things=("cat",)))
    assert [c.is_thing for c in choice.taxonomy.classes] == [False, True, False]
    assert choice.postprocessing.mode == "panoptic"


def test_names_of_another_number_of_classes_are_not_used():
    choice = choose(foreign(labels=("cat", "dog")), network(3), Wishes())
    assert choice.taxonomy.classes[0].name == "class_0"
    assert told(choice, "2 classes", "have 3")


def test_own_class_list(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(
        json.dumps({"name": "own", "classes": ["a", {"name": "b", "isthing": 1}]}), encoding="utf-8"
    )
    choice = choose(foreign(labels=("x", "y")), network(2), Wishes(taxonomy=path))
    assert [(c.name, c.is_thing) for c in choice.taxonomy.classes] == [("a", False), ("b", True)]
    with pytest.raises(CheckpointError, match="expected 3 classes"):
        choose(foreign(), network(3), Wishes(taxonomy=path))


def test_own_class_list_with_as_many_classes_as_a_known_data_set(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps([f"organ {i}" for i in range(19)]), encoding="utf-8")
    assert edges(choose(foreign(), network(19), Wishes(taxonomy=path))) == (512, 2048)
    path.write_text(json.dumps(CITY_LABELS), encoding="utf-8")
    assert edges(choose(foreign(), network(19), Wishes(taxonomy=path))) == (1024, 2048)


def test_sizes_asked_for_win():
    wishes = Wishes(shortest_edge_px=64, longest_edge_px=96, pad_to_px=16)
    choice = choose(foreign(preprocessing=HUB_SIZES), network(19), wishes)
    assert edges(choice) == (64, 96)
    assert choice.preprocessing.pad_to_px == 16


def test_the_baselines_are_neither_padded_nor_panoptic():
    choice = choose(foreign(), network(150, "per_pixel"), Wishes(preset="ade20k-panoptic"))
    assert choice.preprocessing.pad_to_px == 1
    assert choice.postprocessing.mode == "semantic"


def test_a_preset_of_other_classes_is_refused():
    with pytest.raises(CheckpointError, match="19 classes for the preset cityscapes, got 3"):
        choose(foreign(), network(3), Wishes(preset="cityscapes"))
    with pytest.raises(InvalidParameterError, match="expected a preset of"):
        choose(foreign(), network(3), Wishes(preset="citiscapes"))
    with pytest.raises(InvalidParameterError, match="expected things among"):
        choose(foreign(), network(3), Wishes(things=("cat",)))
