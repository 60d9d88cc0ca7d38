import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from model.errors import EngineError
from model.inference.masks import mask_of_runs
from model.inference.postprocess import postprocess
from model.structures import MODES, RawOutput, Sample, Segmentation

CLASSES = 5
IS_THING = (True, False, True, False, True)
OPTIONS = {
    "is_thing": IS_THING,
    "score_threshold": 0.4,
    "overlap_threshold": 0.5,
    "mask_threshold": 0.5,
    "scores_at": "input",
}


def random_case(
    seed: int, queries: int = 8, original_hw: tuple[int, int] = (45, 70)
) -> tuple[RawOutput, Sample]:
    rng = np.random.default_rng(seed)
    class_logits = rng.normal(size=(queries, CLASSES + 1)) * 3
    mask_logits = rng.normal(size=(queries, 16, 24)) * 4
    raw = RawOutput(class_logits.astype(np.float32), mask_logits.astype(np.float32))
    return raw, Sample(np.zeros((3, 64, 96), np.float32), (61, 90), original_hw)


def dense_logits(raw: RawOutput, sample: Sample, *, to_output: bool = True) -> torch.Tensor:
    """(Q, h, w) by the two steps that the maps compose."""
    logits = torch.from_numpy(raw.mask_logits)[None]
    logits = interpolate(logits, sample.padded_hw, mode="bilinear")
    logits = logits[..., : sample.valid_hw[0], : sample.valid_hw[1]]
    if to_output:
        logits = interpolate(logits, sample.original_hw, mode="bilinear")
    return logits[0]


def masks_of(segmentation: Segmentation) -> list[np.ndarray]:
    if segmentation.instance_runs is not None:
        return [mask_of_runs(runs, segmentation.hw) for runs in segmentation.instance_runs]
    return [segmentation.id_map == segment.id for segment in segmentation.segments]


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    left, top = columns.min(), rows.min()
    return left, top, columns.max() + 1 - left, rows.max() + 1 - top


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(6))
def test_rows_describe_the_masks_exactly(mode, seed):
    result = postprocess(*random_case(seed), mode=mode, **OPTIONS)
    assert result.id_map.shape == (45, 70)
    assert result.id_map.dtype == np.int32
    assert result.segments
    for segment, mask in zip(result.segments, masks_of(result), strict=True):
        assert segment.area_px == mask.sum() > 0
        assert segment.bbox_xywh == box_of(mask)
        assert segment.score is None if mode == "semantic" else 0.4 < segment.score <= 1
    present = set(np.unique(result.id_map).tolist()) - {0}
    ids = [segment.id for segment in result.segments]
    if mode == "instance":
        assert ids == list(range(1, len(ids) + 1))
        assert present <= set(ids)
    else:
        assert ids == sorted(present)


@pytest.mark.parametrize("seed", range(4))
def test_semantic_is_the_argmax_of_dense_scores(seed):
    raw, sample = random_case(seed)
    weights = torch.from_numpy(raw.class_logits).softmax(-1)[:, :-1]
    at_input = dense_logits(raw, sample, to_output=False).sigmoid()
    scores = torch.einsum("qk,qhw->khw", weights, at_input)
    expected = {
        "input": interpolate(scores[None], sample.original_hw, mode="bilinear")[0],
        "output": torch.einsum("qk,qhw->khw", weights, dense_logits(raw, sample).sigmoid()),
    }
    for scores_at, score in expected.items():
        options = {**OPTIONS, "scores_at": scores_at}
        result = postprocess(raw, sample, mode="semantic", **options)
        two_best = score.topk(2, dim=0).values
        decided = (two_best[0] - two_best[1] > 1e-4).numpy()
        assert decided.mean() > 0.99
        best = score.argmax(0).numpy()
        np.testing.assert_array_equal((result.id_map - 1)[decided], best[decided])


@pytest.mark.parametrize("seed", range(4))
def test_instances_have_the_masks_and_scores_of_a_dense_computation(seed):
    raw, sample = random_case(seed)
    result = postprocess(raw, sample, mode="instance", **{**OPTIONS, "score_threshold": 0.0})
    probabilities = torch.from_numpy(raw.class_logits).softmax(-1)[:, :-1].flatten()
    masks = dense_logits(raw, sample).sigmoid()
    expected = []
    for pair in probabilities.argsort(descending=True)[: len(raw.class_logits)].tolist():
        query, label = divmod(pair, CLASSES)
        inside = masks[query] > 0.5
        if IS_THING[label] and inside.any():
            score = (probabilities[pair] * masks[query][inside].mean()).item()
            expected.append((score, label, inside.numpy()))
    expected.sort(key=lambda row: -row[0])
    assert [s.class_index for s in result.segments] == [label for _, label, _ in expected]
    scores = [s.score for s in result.segments]
    np.testing.assert_allclose(scores, [score for score, _, _ in expected], atol=1e-4)
    painted = np.zeros(result.hw, np.int32)
    for segment, mask in reversed(list(zip(result.segments, masks_of(result), strict=True))):
        painted[mask] = segment.id
    np.testing.assert_array_equal(result.id_map, painted)
    for mask, (_, _, inside) in zip(masks_of(result), expected, strict=True):
        assert (mask != inside).mean() < 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_kept_classes_are_the_same_as_without_the_filter(mode):
    raw, sample = random_case(3)
    everything = postprocess(raw, sample, mode=mode, **OPTIONS)
    kept = {0, 1}
    result = postprocess(raw, sample, mode=mode, classes=kept, **OPTIONS)
    assert result.segments == tuple(s for s in everything.segments if s.class_index in kept)
    assert 0 < len(result.segments) < len(everything.segments)
    ids = [segment.id for segment in result.segments]
    expected = np.where(np.isin(everything.id_map, ids), everything.id_map, 0)
    np.testing.assert_array_equal(result.id_map, expected)
    assert len(masks_of(result)) == len(result.segments)
    nothing = postprocess(raw, sample, mode=mode, classes=set(), **OPTIONS)
    assert nothing.segments == ()
    assert not nothing.id_map.any()


@pytest.mark.parametrize("mode", ["panoptic", "instance"])
def test_no_query_is_sure_enough(mode):
    raw, sample = random_case(0)
    result = postprocess(raw, sample, mode=mode, **{**OPTIONS, "score_threshold": 1.0})
    assert result.segments == ()
    assert result.id_map.shape == sample.original_hw
    assert not result.id_map.any()
    assert result.instance_runs == (() if mode == "instance" else None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
def test_extreme_logits_are_silent(mode, logit):
    class_logits = np.full((3, CLASSES + 1), -100, np.float32)
    class_logits[:, 0] = 100
    raw = RawOutput(class_logits, np.full((3, 16, 24), logit, np.float32))
    _, sample = random_case(0)
    result = postprocess(raw, sample, mode=mode, **OPTIONS)
    assert {segment.class_index for segment in result.segments} <= {0}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("logit", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["class", "mask"])
def test_logits_that_mean_nothing_are_refused(mode, logit, where):
    raw, sample = random_case(0)
    (raw.class_logits if where == "class" else raw.mask_logits)[..., -1] = logit
    with pytest.raises(EngineError, match="expected finite logits"):
        postprocess(raw, sample, mode=mode, **OPTIONS)


@pytest.mark.parametrize("mode", ["panoptic", "instance"])
def test_masks_are_looked_at_where_their_query_takes_part(mode):
    raw, sample = random_case(0)
    raw.class_logits[:] = [-9] * CLASSES + [9]
    raw.class_logits[[1, 4, 6], 0] = 20
    clean = postprocess(raw, sample, mode=mode, **OPTIONS)
    assert clean.segments
    raw.mask_logits[[0, 2, 7]] = np.nan
    again = postprocess(raw, sample, mode=mode, **OPTIONS)
    np.testing.assert_array_equal(again.id_map, clean.id_map)
    assert again.segments == clean.segments
    raw.mask_logits[4, 3, 5] = np.nan
    with pytest.raises(EngineError, match="expected finite logits"):
        postprocess(raw, sample, mode=mode, **OPTIONS)


def test_a_baselines_maps_must_be_finite_too():
    raw, sample = random_case(0)
    raw.mask_logits[-1, -1, -1] = np.nan
    with pytest.raises(EngineError, match="expected finite logits"):
        postprocess(RawOutput(None, raw.mask_logits), sample, mode="semantic", **OPTIONS)


@pytest.mark.parametrize("mode", MODES)
@given(hw=st.tuples(st.integers(1, 50), st.integers(1, 50)))
@settings(max_examples=15)
def test_any_picture_size(mode, hw):
    result = postprocess(*random_case(1, original_hw=hw), mode=mode, **OPTIONS)
    assert result.hw == hw
    assert sum(s.area_px for s in result.segments) <= hw[0] * hw[1] * len(result.segments)


def test_ties_go_to_the_lower_query_and_class():
    class_logits = np.zeros((2, CLASSES + 1), np.float32)
    class_logits[:, 2] = 9
    masks = np.full((2, 16, 24), 5, np.float32)
    _, sample = random_case(0)
    panoptic = postprocess(RawOutput(class_logits, masks), sample, mode="panoptic", **OPTIONS)
    assert len(panoptic.segments) == 1  # the second of two equals owns nothing
    class_logits[:, 4] = 9
    semantic = postprocess(RawOutput(class_logits, masks), sample, mode="semantic", **OPTIONS)
    assert (semantic.id_map == 3).all()


@pytest.mark.parametrize("mode", ["panoptic", "instance"])
def test_a_baseline_has_no_segments_to_give(mode):
    raw, sample = random_case(0)
    with pytest.raises(ValueError, match="per-pixel baseline"):
        postprocess(RawOutput(None, raw.mask_logits), sample, mode=mode, **OPTIONS)


@pytest.mark.parametrize("mode", MODES)
def test_memory_is_bounded_by_the_answer(mode):
    """30 queries on 1 megapixel would take 130 MB at once."""
    raw, sample = random_case(0, queries=30, original_hw=(900, 1200))
    raw.class_logits[:, :CLASSES] += np.eye(CLASSES)[np.arange(30) % CLASSES] * 12
    tracemalloc.start()
    result = postprocess(raw, sample, mode=mode, **{**OPTIONS, "overlap_threshold": 0.0})
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(result.segments) > 3
    assert peak_bytes < 3 * result.id_map.nbytes + 30 * 2**20


@pytest.mark.parametrize("scores_at", ["input", "output"])
def test_memory_is_bounded_for_pictures_smaller_than_the_input(scores_at):
    """120 maps of the network's input size would take 126 MB at once."""
    rng = np.random.default_rng(0)
    class_logits = rng.normal(size=(20, 101)).astype(np.float32)
    raw = RawOutput(class_logits, rng.normal(size=(20, 128, 128)).astype(np.float32))
    sample = Sample(np.broadcast_to(np.float32(0), (3, 512, 512)), (512, 512), (64, 64))
    options = {**OPTIONS, "is_thing": (True,) * 100, "scores_at": scores_at}
    tracemalloc.start()
    postprocess(raw, sample, mode="semantic", **options)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20 * 2**20
