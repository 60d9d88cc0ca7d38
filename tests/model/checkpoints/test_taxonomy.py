"""Class lists in the forms that people have."""

import json

import pytest

from model.checkpoints.taxonomy import generate_color, read_taxonomy
from model.errors import CheckpointError


def read(tmp_path, content):
    path = tmp_path / "list.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_taxonomy(path)


def test_coco_categories(tmp_path):
    rows = [
        {"id": 7, "name": "cat", "isthing": 1, "color": [1, 2, 3], "supercategory": "animal"},
        {"id": 9, "name": "sky", "isthing": 0},
    ]
    taxonomy = read(tmp_path, {"images": [], "categories": rows})
    assert taxonomy.name == "list"
    cat, sky = taxonomy.classes
    assert (cat.name, cat.category_id, cat.is_thing, cat.color) == ("cat", 7, True, (1, 2, 3))
    assert (sky.category_id, sky.is_thing, sky.color) == (9, False, generate_color(1))


def test_own_form_comes_back(tmp_path):
    taxonomy = read(tmp_path, ["cat", "dog"])
    assert read(tmp_path, taxonomy.model_dump_json()) == taxonomy
    manifest = {"format": 1, "taxonomy": taxonomy.model_dump(mode="json")}
    assert read(tmp_path, manifest) == taxonomy


def test_generated_colors_differ():
    colors = [generate_color(i) for i in range(200)]
    assert len(set(colors)) == 200
    assert colors == [generate_color(i) for i in range(200)]


@pytest.mark.parametrize("content", ["{", {}, {"classes": [{}]}, {"classes": []}, [["x"]], 3])
def test_anything_else_is_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match="expected a class list"):
        read(tmp_path, content)


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match="expected a class list"):
        read_taxonomy(tmp_path / "absent.json")
