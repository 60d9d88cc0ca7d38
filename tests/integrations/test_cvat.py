"""The CVAT function, run by the classes of CVAT's own SDK against a service on a socket."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import pytest
from cvat_sdk.masks import decode_mask
from PIL import Image

from model.artifact import Artifact
from model.inference.masks import mask_of_runs
from model.inference.segmenter import Segmenter
from tests.app.conftest import HeldEngine, artifact, make_app
from tests.app.live import serving
from tests.fakes import paint

__all__ = ["artifact"]

FILE = Path(__file__).parents[2] / "integrations" / "cvat" / "maskformer_function.py"


class Context(cvataa.DetectionFunctionContext):
    frame_name = "street.png"
    conf_threshold = None
    conv_mask_to_poly = False


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("maskformer_function", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def url(artifact: Artifact) -> Iterator[str]:
    with serving(make_app(artifact, HeldEngine())) as address:
        yield f"http://{address}"


@pytest.fixture(scope="module")
def image(artifact: Artifact) -> np.ndarray:
    return paint(artifact, [[0, 2, 2], [1, 3, 2]])


def test_the_spec_names_the_model_s_classes(module, url: str) -> None:
    labels = module.create(url).spec.labels
    assert [label.name for label in labels] == ["sky", "road", "car", "person"]
    assert {label.type for label in labels} == {"mask"}


@pytest.mark.parametrize("mode", ["", "panoptic", "semantic", "instance"])
def test_masks_are_the_segmenter_s(module, url: str, artifact, image, mode: str) -> None:
    function = module.create(url, "fake", mode)
    shapes = function.detect(Context(), Image.fromarray(image))
    expected = Segmenter(artifact, HeldEngine()).segment(image, mode or None)
    assert len(shapes) == len(expected.segments) > 0
    for index, (shape, segment) in enumerate(zip(shapes, expected.segments, strict=True)):
        assert (str(shape.type), shape.frame, shape.label_id) == ("mask", 0, segment.class_index)
        mask = decode_mask(shape.points, image_width=96, image_height=64)
        if expected.instance_runs is None:
            assert (mask == (expected.id_map == segment.id)).all()
        else:
            assert (mask == mask_of_runs(expected.instance_runs[index], expected.hw)).all()


def test_polygons_where_cvat_wants_them(module, url: str, image) -> None:
    context = Context()
    context.conv_mask_to_poly = True
    shapes = module.create(url, mode="semantic").detect(context, Image.fromarray(image))
    assert {str(shape.type) for shape in shapes} == {"polygon"}
    assert all(len(shape.points) >= 8 and len(shape.points) % 2 == 0 for shape in shapes)


def test_the_confidence_threshold_is_honoured(module, url: str, image) -> None:
    context = Context()
    context.conf_threshold = 1.0
    assert module.create(url).detect(context, Image.fromarray(image)) == []
    assert module.create(url, mode="semantic").detect(context, Image.fromarray(image))


def test_refusals_are_told(module, url: str, image) -> None:
    with pytest.raises(ValueError, match="expected a model among fake"):
        module.create(url, "nobody")
    with pytest.raises(RuntimeError, match="answered 422: mode: expected"):
        module.create(url, mode="boxes").detect(Context(), Image.fromarray(image))


def test_it_shows_the_key_that_a_file_holds(module, artifact: Artifact, tmp_path: Path) -> None:
    key = "a-key-of-sixteen-letters"
    (tmp_path / "keys").write_text(f"cvat:{key}", encoding="utf-8")
    (tmp_path / "key").write_text(f"{key}\n", encoding="utf-8")
    app = make_app(artifact, HeldEngine(), api_keys_file=tmp_path / "keys")
    with serving(app) as address:
        url = f"http://{address}"
        with pytest.raises(RuntimeError, match="answered 401: expected a key"):
            module.create(url)
        assert module.create(url, api_key_file=str(tmp_path / "key")).spec.labels
