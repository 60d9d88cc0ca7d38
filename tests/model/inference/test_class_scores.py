import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import EngineError
from model.inference.postprocess.scores import ClassScores
from model.structures import RawOutput, Sample
from tests.model.inference import dense
from tests.model.inference.cases import cases


@given(
    cases(),
    st.sampled_from(["input", "output", "stride4"]),
    st.sampled_from([0.02, 0.5, 1.0]),
    st.booleans(),
)
@settings(max_examples=60)
def test_scores_of_few_or_many_pixels_are_the_dense_ones(case, scores_at, share, is_baseline):
    raw = RawOutput(None, case.raw.mask_logits) if is_baseline else case.raw
    expected = dense.semantic_scores(raw, case.sample, scores_at)
    rng = np.random.default_rng(0)
    pixels = expected.shape[1] * expected.shape[2]
    positions = np.union1d(np.flatnonzero(rng.random(pixels) < share), rng.integers(pixels, size=1))
    scores = ClassScores(raw, case.sample, scores_at).at(positions)
    np.testing.assert_allclose(
        scores, expected.reshape(len(expected), -1)[:, positions].T, atol=1e-4
    )


def test_every_mask_takes_part_and_must_be_finite():
    class_logits = np.zeros((3, 4), np.float32)
    mask_logits = np.zeros((3, 16, 24), np.float32)
    sample = Sample(np.zeros((3, 64, 96), np.float32), (61, 90), (45, 70))
    mask_logits[2, 7, 7] = np.nan
    with pytest.raises(EngineError, match="expected finite logits"):
        ClassScores(RawOutput(class_logits, mask_logits), sample, "input")
