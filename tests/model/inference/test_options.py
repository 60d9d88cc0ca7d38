import math

import pytest

from model.config import PostprocessingConfig
from model.errors import InvalidParameterError, UnavailableModeError
from model.inference.options import resolve_options
from tests.fakes import CLASSES, fake_manifest

MANIFEST = fake_manifest(
    postprocessing=PostprocessingConfig(
        score_threshold=0.7, overlap_threshold=0.6, mask_threshold=0.4, scores_at="output"
    )
)


def test_everything_comes_from_the_artifact():
    options = resolve_options(MANIFEST)
    assert options.mode == "panoptic"
    assert options.is_thing == (False, False, True, True)
    assert (options.score_threshold, options.overlap_threshold) == (0.7, 0.6)
    assert (options.mask_threshold, options.scores_at) == (0.4, "output")
    assert options.classes is None


def test_wishes_win_and_zero_is_a_wish():
    options = resolve_options(MANIFEST, "instance", score_threshold=0, mask_threshold=0.9)
    assert (options.score_threshold, options.mask_threshold) == (0.0, 0.9)


@pytest.mark.parametrize("mode", ["semantics", "", "PANOPTIC"])
def test_unknown_modes(mode):
    with pytest.raises(UnavailableModeError, match="panoptic, semantic, instance"):
        resolve_options(MANIFEST, mode)


def test_modes_that_the_model_cannot_give():
    only_stuff = fake_manifest(classes=CLASSES[:2])
    baseline = fake_manifest(kind="per_pixel")
    for manifest in (only_stuff, baseline):
        with pytest.raises(UnavailableModeError, match=r"\(semantic\), got 'panoptic'"):
            resolve_options(manifest, "panoptic")
        assert resolve_options(manifest).mode == "semantic"


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("semantic", "score_threshold"),
        ("semantic", "mask_threshold"),
        ("semantic", "overlap_threshold"),
        ("instance", "overlap_threshold"),
    ],
)
def test_thresholds_that_the_mode_does_not_use(mode, name):
    with pytest.raises(InvalidParameterError, match=f"{mode} mode uses .* got {name}"):
        resolve_options(MANIFEST, mode, **{name: 0.5})


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["score_threshold", "overlap_threshold", "mask_threshold"])
def test_thresholds_out_of_range(name, value):
    with pytest.raises(InvalidParameterError, match=f"{name}.*got {value}"):
        resolve_options(MANIFEST, **{name: value})


@pytest.mark.parametrize("value", [0, 1])
def test_the_mask_threshold_lies_strictly_inside(value):
    with pytest.raises(InvalidParameterError, match="above 0 and below 1"):
        resolve_options(MANIFEST, mask_threshold=value)


def test_classes_by_name():
    assert resolve_options(MANIFEST, classes=["person", "sky"]).classes == {0, 3}
    twice = fake_manifest(classes=[*CLASSES, CLASSES[0]])
    assert resolve_options(twice, classes=["sky"]).classes == {0, 4}


def test_unknown_classes_are_listed_but_not_without_end():
    with pytest.raises(InvalidParameterError) as refused:
        resolve_options(MANIFEST, classes=[f"{n} {'x' * 1000}" for n in range(1000)])
    assert len(str(refused.value)) < 500
    with pytest.raises(InvalidParameterError, match="got 'cat', 'dog'"):
        resolve_options(MANIFEST, classes=["cat", "sky", "dog"])
    with pytest.raises(InvalidParameterError, match="an empty list"):
        resolve_options(MANIFEST, classes=[])
