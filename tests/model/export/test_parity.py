from pathlib import Path

import numpy as np
import pytest

from model.artifact import Artifact
from model.errors import EngineError
from model.export import parity
from model.export.parity import check_parity, default_sizes_hw
from tests.model.export.samples import make_artifact
from tests.model.network import tiny


class Constant:
    """An engine that always says the same."""

    device, precision, slots, max_batch = "CPU", "float32", 1, 2

    def __init__(self, name: str, value: float, has_classes: bool = True) -> None:
        self.name = name
        self.value = value
        self.has_classes = has_classes
        self.closed = False

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        classes = np.full((len(pixels), 2, 3), self.value, np.float32)
        return classes if self.has_classes else None, classes

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return make_artifact(tmp_path, tiny.PER_PIXEL)


def compare(monkeypatch: pytest.MonkeyPatch, artifact: Artifact, other: Constant) -> float:
    engines = {"torch": Constant("torch", 100.0), "openvino": other}
    monkeypatch.setattr(parity, "load_engine", lambda _, name, *a, **k: engines[name])
    rows = check_parity(artifact, ["openvino"])
    assert all(engine.closed for engine in engines.values())
    assert len(rows) == 3 * 2
    return max(row.largest for row in rows)


def test_a_difference_is_a_share_of_the_largest_logit(
    monkeypatch: pytest.MonkeyPatch, artifact: Artifact
) -> None:
    largest = compare(monkeypatch, artifact, Constant("openvino", 100.005))
    assert largest == pytest.approx(5e-5, rel=0.01)


@pytest.mark.parametrize("value", [100.02, float("nan"), float("inf")])
def test_a_large_difference_is_refused(
    monkeypatch: pytest.MonkeyPatch, artifact: Artifact, value: float
) -> None:
    with pytest.raises(EngineError, match=r"expected openvino within 0\.0001 of torch"):
        compare(monkeypatch, artifact, Constant("openvino", value))


def test_a_missing_output_is_refused(monkeypatch: pytest.MonkeyPatch, artifact: Artifact) -> None:
    with pytest.raises(EngineError, match="as torch gives, got None"):
        compare(monkeypatch, artifact, Constant("openvino", 100.0, has_classes=False))


@pytest.mark.parametrize("pad_to_px", [1, 32, 64])
def test_default_sizes_are_what_the_padding_makes(pad_to_px: int) -> None:
    sizes = default_sizes_hw(pad_to_px)
    assert all(side % pad_to_px == 0 and side >= 32 for size in sizes for side in size)
    assert any(height > width for height, width in sizes)
    assert any(height < width for height, width in sizes)
