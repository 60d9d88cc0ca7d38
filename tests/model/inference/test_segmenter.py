import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from model.config import PreprocessingConfig
from model.errors import EngineError, ImageTooLargeError, InvalidParameterError
from model.inference.decode import ImageLimits
from model.inference.engine import Engine
from model.inference.segmenter import Segmenter
from model.structures import MODES, RawOutput
from tests.fakes import FakeEngine, fake_artifact, fake_manifest, paint, to_bytes

BLOCKS = [[0, 2, 1], [1, 3, 0]]


@pytest.fixture
def artifact(tmp_path):
    return fake_artifact(tmp_path / "fake")


def assert_same(actual: RawOutput, expected: RawOutput) -> None:
    np.testing.assert_array_equal(actual.class_logits, expected.class_logits)
    np.testing.assert_array_equal(actual.mask_logits, expected.mask_logits)


@pytest.mark.parametrize("mode", ["semantic", "panoptic"])
def test_painted_classes_come_back_pixel_for_pixel(artifact, mode):
    picture = paint(artifact, BLOCKS)
    answer = Segmenter(artifact, FakeEngine()).segment(to_bytes(picture), mode)
    classes = {segment.id: segment.class_index for segment in answer.segments}
    found = np.vectorize(classes.get)(answer.id_map)
    np.testing.assert_array_equal(found, np.kron(BLOCKS, np.ones((32, 32), int)))


def test_instances_are_the_things(artifact):
    picture = paint(artifact, BLOCKS)
    answer = Segmenter(artifact, FakeEngine()).segment(picture, "instance")
    assert [segment.class_index for segment in answer.segments] == [2, 3]
    assert [segment.bbox_xywh for segment in answer.segments] == [(32, 0, 32, 32), (32, 32, 32, 32)]


def test_bytes_pillow_and_arrays_are_the_same_picture(artifact):
    segmenter, picture = Segmenter(artifact, FakeEngine()), paint(artifact, BLOCKS)
    data = to_bytes(picture)
    with Image.open(io.BytesIO(data)) as opened:
        samples = [segmenter.prepare(form) for form in (data, opened, picture)]
    for sample in samples:
        np.testing.assert_array_equal(sample.pixels, samples[0].pixels)
        assert (sample.valid_hw, sample.original_hw) == ((64, 96), (64, 96))


@pytest.mark.parametrize("max_batch", [1, 2, 3, 8])
def test_batched_equals_alone_in_the_order_asked(artifact, max_batch):
    segmenter = Segmenter(artifact, FakeEngine(max_batch=max_batch))
    rng = np.random.default_rng(0)
    pictures = [
        paint(artifact, rng.integers(0, 4, shape))
        for shape in [(2, 3), (1, 1), (2, 3), (3, 2), (2, 3), (1, 1), (2, 3)]
    ]
    samples = [segmenter.prepare(picture) for picture in pictures]
    together = segmenter.infer(samples)
    shapes = segmenter.engine.shapes
    assert sum(shape[0] for shape in shapes) == len(samples)
    assert max(shape[0] for shape in shapes) == min(max_batch, 4)
    for sample, raw in zip(samples, together, strict=True):
        (alone,) = segmenter.infer([sample])
        assert_same(raw, alone)


def test_nothing_to_infer(artifact):
    assert Segmenter(artifact, FakeEngine()).infer([]) == []


@pytest.mark.parametrize("mode", MODES)
def test_one_pixel(artifact, mode):
    answer = Segmenter(artifact, FakeEngine()).segment(np.zeros((1, 1, 3), np.uint8), mode)
    assert answer.hw == (1, 1)


def test_a_model_that_resizes_answers_at_the_pictures_own_size(tmp_path):
    preprocessing = PreprocessingConfig(
        shortest_edge_px=96, longest_edge_px=200, mean=(0, 0, 0), std=(255, 255, 255)
    )
    artifact = fake_artifact(tmp_path, fake_manifest(preprocessing=preprocessing))
    segmenter = Segmenter(artifact, FakeEngine())
    sample = segmenter.prepare(np.zeros((50, 75, 3), np.uint8))
    assert (sample.valid_hw, sample.padded_hw) == ((96, 144), (96, 160))
    (raw,) = segmenter.infer([sample])
    assert raw.mask_logits.shape == (8, 24, 40)
    assert segmenter.finish(raw, sample, "semantic").hw == (50, 75)


def test_a_baseline_answers_semantic_by_default(tmp_path):
    artifact = fake_artifact(tmp_path, fake_manifest(kind="per_pixel"))
    maps = np.zeros((4, 8, 8), np.float32)
    maps[0, :, :4] = 1
    maps[2, :, 4:] = 1
    engine = FakeEngine(mask_logits=maps)
    answer = Segmenter(artifact, engine).segment(np.zeros((32, 32, 3), np.uint8))
    assert answer.mode == "semantic"
    np.testing.assert_array_equal(answer.id_map, np.repeat([1, 3], 16)[None].repeat(32, axis=0))


def test_wishes_reach_the_answer(artifact):
    segmenter, picture = Segmenter(artifact, FakeEngine()), paint(artifact, BLOCKS)
    kept = segmenter.segment(picture, classes=["car"])
    assert [segment.class_index for segment in kept.segments] == [2]
    assert segmenter.segment(picture, score_threshold=1.0).segments == ()


def test_a_wrong_wish_costs_no_inference(artifact):
    segmenter = Segmenter(artifact, FakeEngine())
    with pytest.raises(InvalidParameterError):
        segmenter.segment(paint(artifact, BLOCKS), "semantic", score_threshold=0.5)
    assert segmenter.engine.shapes == []


def test_limits_apply_to_bytes(artifact):
    segmenter = Segmenter(artifact, FakeEngine(), ImageLimits(max_pixels=100))
    with pytest.raises(ImageTooLargeError):
        segmenter.prepare(to_bytes(paint(artifact, BLOCKS)))


def test_an_engine_failure_rises(artifact):
    segmenter = Segmenter(artifact, FakeEngine(fail=EngineError("out of memory")))
    with pytest.raises(EngineError, match="out of memory"):
        segmenter.segment(paint(artifact, BLOCKS))


def test_closing(artifact):
    engine: Engine = FakeEngine()
    with Segmenter(artifact, engine) as segmenter:
        assert not segmenter.engine.closed
    assert engine.closed


def test_threads_share_a_segmenter(artifact):
    segmenter, picture = Segmenter(artifact, FakeEngine()), paint(artifact, BLOCKS)
    alone = segmenter.segment(picture)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(segmenter.segment, [picture] * 12))
    for answer in answers:
        np.testing.assert_array_equal(answer.id_map, alone.id_map)
        assert answer.segments == alone.segments
