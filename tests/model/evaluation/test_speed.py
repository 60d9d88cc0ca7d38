from pathlib import Path

import numpy as np
import pytest

from model.artifact import Artifact
from model.evaluation.machine import describe_machine, versions
from model.evaluation.speed import in_turn, load_engines, measure_engines, measure_stages
from model.inference.segmenter import Segmenter
from tests.fakes import FakeEngine, fake_artifact, paint, to_bytes


def test_contenders_take_turns_after_a_run_that_does_not_count() -> None:
    order: list[str] = []
    now = iter(range(1000))
    times = in_turn(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 0, lambda: next(now)
    )
    assert order == ["a", "b"] * 4
    assert times == {"a": [1, 1, 1], "b": [1, 1, 1]}


def test_every_engine_and_precision_that_is_here_is_measured(encoder_model: Artifact) -> None:
    engines, reasons = load_engines(encoder_model)
    pairs = {(engine.name, engine.precision) for engine in engines}
    assert {(name, "float32") for name in ("openvino", "onnxruntime", "torch")} <= pairs
    assert reasons == []
    sample = Segmenter(encoder_model, engines[0]).prepare(np.zeros((48, 64, 3), np.uint8))
    speeds = measure_engines(engines, sample, 0)
    assert [(s.engine, s.precision) for s in speeds] == [(e.name, e.precision) for e in engines]
    assert all(s.alone_ms > 0 and s.pictures_per_s > 0 for s in speeds)
    for engine in engines:
        engine.close()


def test_all_slots_are_busy_and_batches_are_counted(tmp_path: Path) -> None:
    engine = FakeEngine(slots=2, max_batch=4)
    segmenter = Segmenter(fake_artifact(tmp_path), engine)
    sample = segmenter.prepare(paint(segmenter.artifact, [[0, 2], [1, 3]]))
    (speed,) = measure_engines([engine], sample, 0, batch=4)
    assert (speed.slots, speed.batch) == (2, 4)
    assert {shape[0] for shape in engine.shapes} == {4}
    assert len(engine.shapes) == 4 * (1 + 6)


def test_an_engine_without_a_library_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    monkeypatch.delitem(
        __import__("sys").modules, "model.inference.engines.onnxruntime", raising=False
    )
    monkeypatch.setattr("model.evaluation.speed.ENGINES", ("onnxruntime",))
    engines, reasons = load_engines(fake_artifact(tmp_path))
    assert engines == []
    assert len(reasons) == 1
    assert reasons[0].startswith("onnxruntime: expected the library")


def test_stages_are_those_of_a_journey_in_every_mode(tmp_path: Path) -> None:
    artifact = fake_artifact(tmp_path)
    picture = to_bytes(paint(artifact, [[0, 2], [1, 3]]))
    stages = [s.stage for s in measure_stages(Segmenter(artifact, FakeEngine()), [picture], 0)]
    assert stages[:3] == ["decode", "preprocess", "infer"]
    assert stages[3:] == [
        f"{stage} {mode}{form}"
        for mode in ("panoptic", "semantic", "instance")
        for stage, form in (("postprocess", ""), ("encode", " png"), ("encode", " rle"))
    ]


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert int(machine["cores"]) >= 1
    assert machine["cpu"]
    assert "numpy" in machine
    assert versions(("no-such-library", "numpy")).keys() == {"numpy"}
