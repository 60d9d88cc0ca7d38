import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model.data.augment import AugmentConfig, CropPhase, PreCrop, augment
from model.data.color_jitter import jitter_colors
from model.data.example import Example, ExampleSegment

RECORDED = ((20, 24, 3), 241920, 1920)
CALM = AugmentConfig(flip_probability=0, brightness=0, contrast=0, saturation=0)


def quadrants(hw: tuple[int, int] = (40, 60)) -> Example:
    """Four segments, each with its own colour, which says which pixels belong together."""
    ids = np.ones(hw, np.int32)
    ids[:, hw[1] // 2 :] += 1
    ids[hw[0] // 2 :] += 2
    image = np.stack([ids * 50] * 3, -1).astype(np.uint8)
    return Example(image, ids, tuple(ExampleSegment(i, i - 1) for i in range(1, 5)))


def draw(phase: CropPhase, seed: int = 0, config: AugmentConfig = CALM) -> Example:
    return augment(quadrants(), np.random.default_rng(seed), phase, config)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    crop_hw=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    scale=st.tuples(st.floats(0.3, 1), st.floats(1, 3)),
)
def test_crops_fit_and_list_exactly_the_segments_they_show(
    seed: int, crop_hw: tuple[int, int], scale: tuple[float, float]
) -> None:
    crop = draw(CropPhase(crop_hw=crop_hw, scale=scale), seed, AugmentConfig(min_segment_px=5))
    assert crop.image.shape[:2] == crop.panoptic.shape
    assert crop.image.dtype == np.uint8 and crop.panoptic.dtype == np.int32
    assert all(side <= limit for side, limit in zip(crop.panoptic.shape, crop_hw, strict=True))
    present, areas = np.unique(crop.panoptic, return_counts=True)
    assert set(present.tolist()) - {0} == {s.id for s in crop.segments}
    assert all(area >= 5 for id_, area in zip(present, areas, strict=True) if id_)


def test_the_same_seed_gives_the_same_crop_and_another_one_another() -> None:
    phase = CropPhase(crop_hw=(24, 32))
    config = AugmentConfig()
    first, again, other = (draw(phase, seed, config).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_labels_move_with_the_picture() -> None:
    crop = draw(
        CropPhase(crop_hw=(30, 30), scale=(1, 1)),
        3,
        CALM.model_copy(update={"flip_probability": 1.0}),
    )
    inside = crop.image[..., 0] % 50 == 0  # not blended at an edge
    np.testing.assert_array_equal(crop.image[..., 0][inside] // 50, crop.panoptic[inside])
    assert inside.mean() > 0.8


def test_a_flip_mirrors_and_no_other_choice_changes_the_whole_picture() -> None:
    phase = CropPhase(crop_hw=(40, 60), scale=(1, 1))
    flipped = draw(phase, 0, CALM.model_copy(update={"flip_probability": 1.0}))
    np.testing.assert_array_equal(draw(phase).panoptic, quadrants().panoptic)
    np.testing.assert_array_equal(flipped.panoptic, quadrants().panoptic[:, ::-1])
    np.testing.assert_array_equal(flipped.image, quadrants().image[:, ::-1])


def test_colours_change_and_labels_do_not() -> None:
    phase = CropPhase(crop_hw=(40, 60), scale=(1, 1))
    config = CALM.model_copy(update={"brightness": 40.0, "contrast": 0.4, "saturation": 0.4})
    crop = draw(phase, 0, config)
    assert (crop.image != quadrants().image).any()
    np.testing.assert_array_equal(crop.panoptic, quadrants().panoptic)


def test_saturation_and_contrast_keep_a_grey_picture_at_its_mean() -> None:
    grey = Example(
        np.full((8, 8, 3), 90, np.uint8), np.ones((8, 8), np.int32), (ExampleSegment(1, 0),)
    )
    config = CALM.model_copy(update={"contrast": 0.5, "saturation": 0.5})
    crop = augment(grey, np.random.default_rng(0), CropPhase(crop_hw=(8, 8), scale=(1, 1)), config)
    assert np.abs(crop.image.astype(int) - 90).max() <= 1


def test_small_rests_become_void() -> None:
    config = CALM.model_copy(update={"min_segment_px": 10_000})
    crop = draw(CropPhase(crop_hw=(40, 60), scale=(1, 1)), 0, config)
    assert crop.segments == () and (crop.panoptic == 0).all()


def test_phases_begin_at_their_step() -> None:
    first, second = CropPhase(), CropPhase(from_step=5, crop_hw=(9, 9))
    config = AugmentConfig(phases=(first, second))
    assert [config.phase_at(step) for step in (0, 4, 5, 99)] == [first, first, second, second]


@pytest.mark.parametrize("starts", [(), (1,), (0, 5, 3), (0, 0)])
def test_phases_out_of_order_are_refused(starts: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        AugmentConfig(phases=tuple(CropPhase(from_step=s) for s in starts))


def test_the_default_choices_never_change() -> None:
    """A resumed run draws the crops that it would have drawn; recorded from the first release."""
    crop = draw(CropPhase(crop_hw=(20, 24)), 7, AugmentConfig())
    assert (crop.image.shape, int(crop.image.sum()), int(crop.panoptic.sum())) == RECORDED


def test_short_sides_are_drawn_from_the_list_and_the_long_side_is_limited() -> None:
    phase = CropPhase(crop_hw=(999, 999), short_sides_px=(20, 80), longest_edge_px=90)
    sizes = {draw(phase, seed).panoptic.shape for seed in range(8)}
    assert sizes == {(20, 30), (60, 90)}


def test_padding_is_grey_and_void() -> None:
    crop = draw(CropPhase(crop_hw=(50, 64), scale=(1, 1), pad=True))
    assert crop.panoptic.shape == (50, 64) and crop.image.shape == (50, 64, 3)
    assert (crop.image[40:] == 128).all() and (crop.image[:, 60:] == 128).all()
    assert not crop.panoptic[40:].any() and not crop.panoptic[:, 60:].any()
    np.testing.assert_array_equal(crop.panoptic[:40, :60], quadrants().panoptic)


def test_no_class_covers_more_than_its_share() -> None:
    phase = CropPhase(crop_hw=(16, 24), scale=(1, 1), category_limit=0.75)
    shares = [
        np.bincount(draw(phase, seed).panoptic.ravel()).max() / (16 * 24) for seed in range(40)
    ]
    free = CropPhase(crop_hw=(16, 24), scale=(1, 1))
    unlimited = [
        np.bincount(draw(free, seed).panoptic.ravel()).max() / (16 * 24) for seed in range(40)
    ]
    assert sum(share > 0.85 for share in shares) == 0 < sum(share > 0.85 for share in unlimited)


def test_detrs_first_crop() -> None:
    first = PreCrop(probability=1, short_sides_px=(80,), crop_px=(40, 60))
    phase = CropPhase(crop_hw=(999, 999), short_sides_px=(40,), longest_edge_px=999, pre_crop=first)
    for seed in range(20):
        crop = draw(phase, seed)
        assert min(crop.panoptic.shape) == 40 and max(crop.panoptic.shape) <= 61
        agree = np.abs(crop.image[..., 0] - 50.0 * crop.panoptic) < 26  # but for blended edges
        assert agree.mean() > 0.95


def test_the_jitter_of_ssd_keeps_labels_and_changes_each_colour_at_times() -> None:
    config = AugmentConfig(colors="ssd", flip_probability=0)
    phase = CropPhase(crop_hw=(40, 60), scale=(1, 1))
    crops = [draw(phase, seed, config) for seed in range(24)]
    same = [bool((crop.image == quadrants().image).all()) for crop in crops]
    assert 0 < sum(same) < 12
    for crop in crops:
        np.testing.assert_array_equal(crop.panoptic, quadrants().panoptic)


@pytest.mark.parametrize("seed", range(6))
def test_a_turn_of_the_hue_keeps_grey(seed: int) -> None:
    grey = np.full((4, 4, 3), 90, np.uint8)
    ranges = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.5, "hue_degrees": 180.0}
    np.testing.assert_array_equal(jitter_colors(grey, np.random.default_rng(seed), **ranges), grey)
