"""Coarser padding: fewer sizes, fuller batches, more pixels for nothing."""

import pytest

from benchmarks import padding
from model.artifact import load_artifact


def test_coarser_padding_gives_fewer_sizes_and_fuller_batches() -> None:
    fine, middle, coarse = (padding.batches(pad_px) for pad_px in padding.PADS_PX)
    for less, more in ((fine, middle), (middle, coarse)):
        assert less["padded_sizes"] > more["padded_sizes"]
        assert less["sizes_of_90_percent"] > more["sizes_of_90_percent"]
        assert less["pictures_per_batch"] < more["pictures_per_batch"] <= padding.MAX_BATCH
        assert 0 < less["padding_percent"] < more["padding_percent"]


def test_without_padding_nothing_is_wasted() -> None:
    assert padding.batches(1)["padding_percent"] == 0


def test_photographs_are_the_same_every_time_and_mostly_across() -> None:
    photographs = padding.photographs()
    assert photographs == padding.photographs()
    assert len(photographs) == padding.PICTURES
    upright = sum(h > w for h, w in photographs) / len(photographs)
    assert upright == pytest.approx(padding.UPRIGHT * 0.93, abs=0.03)


def test_a_model_is_scored_with_the_padding_asked_for(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(padding, "SCENES_HW", ((40, 50), (60, 70)))

    class Scores:
        def summary(self):
            return {"mIoU": 0.25 * len(seen), "PQ": 0.5}

    def evaluate(segmenter, source):
        seen.append((segmenter.artifact.manifest.preprocessing.pad_to_px, source[0].image.shape))
        return Scores()

    monkeypatch.setattr(padding, "evaluate", evaluate)
    row = padding.scores(load_artifact(padding.ROOT / "weights" / "scenes"), 64)
    assert seen == [(64, (40, 50, 3)), (64, (60, 70, 3))]
    assert row == {"pad_to_px": 64, "mIoU_percent": 37.5, "PQ_percent": 50.0}
