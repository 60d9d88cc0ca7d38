from pathlib import Path
from types import SimpleNamespace

import pytest

from cli import quantize as module
from cli.export import export
from cli.quantize import calibration_pictures, quantize, without_section
from model.artifact import CARD, Artifact, FileInfo, load_artifact, save_manifest
from model.errors import DatasetError, EngineError, InvalidParameterError
from model.export.verdict import Measured
from tests.fakes import FakeEngine, fake_artifact, paint, to_bytes
from tests.model.export.samples import make_artifact
from tests.model.network import tiny

GRAPH = "model_int8.onnx"


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """A model folder whose quantised graph is a word; `quantize` finds one picture."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").touch()

    def write(artifact: Artifact, pictures: list[Path]) -> Artifact:
        assert [path.name for path in pictures] == ["a.png"]
        (artifact.folder / GRAPH).write_bytes(b"graph")
        info = FileInfo(role="onnx_int8", dtype="int8", sha256="0" * 64)
        files = {**artifact.manifest.files, GRAPH: info}
        return save_manifest(artifact.folder, artifact.manifest.model_copy(update={"files": files}))

    monkeypatch.setattr("model.export.quantize.quantize_onnx", write)
    made = make_artifact(tmp_path / "model", tiny.PER_PIXEL)
    (made.folder / CARD).write_text("# model\n\n## How\nSo.\n", encoding="utf-8")
    return made


def measured(monkeypatch: pytest.MonkeyPatch, pictures_per_s: float, miou: float) -> None:
    pair = Measured("float32", 1.0, {"mIoU": 0.5}), Measured("int8", pictures_per_s, {"mIoU": miou})
    monkeypatch.setattr(module, "measure", lambda *_: pair)


def test_a_graph_that_pays_is_kept_with_its_numbers(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(monkeypatch, 2.0, 0.499)
    quantize(artifact, artifact.folder.parent / "pictures", None)
    kept = load_artifact(artifact.folder)
    assert kept.find("onnx_int8") == artifact.folder / GRAPH
    assert kept.manifest.scores == {"int8/mIoU": 0.499, "int8/mIoU loss": 0.001}
    assert "2.00 pictures/s in int8 against 1.00 in float32" in (kept.folder / CARD).read_text(
        encoding="utf-8"
    )
    assert capsys.readouterr().out.startswith("int8 kept: ")


def test_what_does_not_pay_leaves_nothing_of_this_or_an_earlier_graph(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = artifact.folder.parent / "pictures"
    measured(monkeypatch, 2.0, 0.5)
    quantize(artifact, pictures, None)
    measured(monkeypatch, 0.5, 0.5)
    quantize(load_artifact(artifact.folder), pictures, None)
    assert load_artifact(artifact.folder) == artifact
    assert not (artifact.folder / GRAPH).exists()
    assert (artifact.folder / CARD).read_text(encoding="utf-8") == "# model\n\n## How\nSo.\n"
    assert "not kept: expected more pictures per second" in capsys.readouterr().out


def test_a_graph_that_cannot_be_measured_is_removed(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EngineError("fails")

    monkeypatch.setattr(module, "measure", fail)
    with pytest.raises(EngineError, match="fails"):
        quantize(artifact, artifact.folder.parent / "pictures", None)
    assert load_artifact(artifact.folder) == artifact


def test_int8_is_compared_with_the_fastest_other_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = fake_artifact(tmp_path / "model")
    picture = tmp_path / "a.png"
    picture.write_bytes(to_bytes(paint(artifact, [[0, 1]])))
    speeds = {"int8": 3.0, "bfloat16": 1.0, "float32": 2.0}
    engines: list[FakeEngine] = []

    def load(_: Artifact, name: str = "auto", *, precision: str) -> FakeEngine:
        if precision not in speeds:
            raise EngineError(f"expected another precision than {precision}")
        engines.append(FakeEngine())
        engines[-1].precision = precision
        return engines[-1]

    monkeypatch.setattr("model.inference.engines.load_engine", load)
    monkeypatch.setattr(
        "model.evaluation.speed.measure_engines",
        lambda engines, *_: [SimpleNamespace(pictures_per_s=speeds[e.precision]) for e in engines],
    )
    assert module.measure(artifact, picture, None) == (
        Measured("float32", 2.0, {}),
        Measured("int8", 3.0, {}),
    )
    assert len(engines) == 3
    assert all(engine.closed for engine in engines)
    del speeds["bfloat16"], speeds["float32"]
    with pytest.raises(EngineError, match=r"than bfloat16; .* than float32"):
        module.measure(artifact, picture, None)


@pytest.mark.parametrize("inside", ["", "images", "train/images"])
def test_calibration_pictures_may_lie_in_a_data_set(tmp_path: Path, inside: str) -> None:
    folder = tmp_path / inside
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.jpg").touch()
    assert calibration_pictures(tmp_path) == [folder / "a.jpg"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected files ending in"):
        calibration_pictures(tmp_path)


def test_the_card_loses_only_the_section() -> None:
    assert without_section("# a\n\n## Quantised graph\nfast\n\n## b\n") == "# a\n\n## b\n"
    assert without_section("# a\n") == "# a\n"


@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({"int8": True}, "--int8"),
        ({"calibration": Path("x")}, "--calibration"),
        ({"data": Path("x")}, "--data"),
    ],
)
def test_int8_is_refused_without_calibration_pictures(
    tmp_path: Path, options: dict[str, object], got: str
) -> None:
    with pytest.raises(InvalidParameterError, match=f"--int8 and --calibration together.* {got}$"):
        export(tmp_path, **options)  # type: ignore[arg-type]
