from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.config import PreprocessingConfig
from model.evaluation.views import class_scores, segment_views, view_sizes
from model.inference.postprocess import postprocess
from model.inference.segmenter import Segmenter
from model.structures import RawOutput, Sample
from tests.fakes import FakeEngine, fake_artifact, paint

RNG = np.random.default_rng(0)
SAMPLE = Sample(np.zeros((3, 64, 96), np.float32), (50, 90), (35, 71))


def raw(classes: int = 4) -> RawOutput:
    class_logits = RNG.normal(size=(7, classes + 1)).astype(np.float32)
    return RawOutput(class_logits, 4 * RNG.normal(size=(7, 16, 24)).astype(np.float32))


@pytest.mark.parametrize("scores_at", ["input", "output"])
def test_scores_are_those_that_semantic_answers_take_the_best_of(scores_at: str) -> None:
    output = raw()
    scores = class_scores(output, SAMPLE, scores_at)
    answer = postprocess(
        output,
        SAMPLE,
        mode="semantic",
        is_thing=[False] * 4,
        score_threshold=0,
        overlap_threshold=0,
        mask_threshold=0.5,
        scores_at=scores_at,  # type: ignore[arg-type]
    )
    assert scores.shape == (4, 35, 71)
    assert (scores.argmax(0) == answer.id_map - 1).mean() > 0.999


def test_scores_equal_torch() -> None:
    output = raw()
    masks = torch.from_numpy(output.mask_logits)[None]
    enlarged = F.interpolate(masks, (64, 96), mode="bilinear", align_corners=False).sigmoid()
    weights = torch.from_numpy(output.class_logits).softmax(-1)[:, :-1]
    scores = torch.einsum("qk,bqhw->bkhw", weights, enlarged)[..., :50, :90]
    expected = F.interpolate(scores, (35, 71), mode="bilinear", align_corners=False)[0]
    actual = class_scores(output, SAMPLE, "input")
    np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_a_baselines_maps_are_enlarged_by_four() -> None:
    maps = RNG.normal(size=(3, 16, 24)).astype(np.float32)
    scores = torch.from_numpy(maps)[None]
    for hw, cut in (((64, 96), (50, 90)), ((35, 71), (35, 71))):
        scores = F.interpolate(scores, hw, mode="bilinear", align_corners=False)
        scores = scores[..., : cut[0], : cut[1]]
    actual = class_scores(RawOutput(None, maps), SAMPLE, "input")
    np.testing.assert_allclose(actual, scores[0].numpy(), rtol=1e-5, atol=1e-5)


def test_sizes_are_the_papers() -> None:
    config = PreprocessingConfig(shortest_edge_px=512, longest_edge_px=2048)
    sizes = [(c.shortest_edge_px, c.longest_edge_px) for c in view_sizes(config, (100, 200))]
    assert sizes == [(edge, 3584) for edge in (256, 384, 512, 640, 768, 896)]
    own = PreprocessingConfig(shortest_edge_px=None)
    assert [c.shortest_edge_px for c in view_sizes(own, (100, 200))][:3] == [50, 75, 100]


def test_twelve_views_are_asked_and_mirrored_back(tmp_path: Path) -> None:
    artifact = fake_artifact(tmp_path)
    engine = FakeEngine()
    image = np.asarray(paint(artifact, [[0, 1], [2, 3]]))
    answer = segment_views(Segmenter(artifact, engine), image)
    assert len(engine.shapes) == 12
    half = image.shape[0] // 2
    corners = answer[half // 2 :: half, half // 2 :: half]
    np.testing.assert_array_equal(corners, [[0, 1], [2, 3]])
