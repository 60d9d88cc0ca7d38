"""Pictures in folders -> files, through a fake engine."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import app.loading
from cli.segment import Format, find_pictures, segment
from model.errors import InvalidParameterError
from model.inference.segmenter import Segmenter
from tests.fakes import FakeEngine, fake_artifact, to_bytes


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, name in enumerate(["a.png", "b.jpg"]):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture(autouse=True)
def fake_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    segmenter = Segmenter(fake_artifact(tmp_path / "model"), FakeEngine())
    monkeypatch.setattr(app.loading, "load_segmenters", lambda settings: {"fake": segmenter})
    return segmenter


def test_panoptic_writes_a_map_and_its_rows(
    pictures: Path, tmp_path: Path, fake_model: Segmenter
) -> None:
    segment([pictures], tmp_path / "out", form=Format.png, mode="panoptic")
    for stem in ("a", "b"):
        rows = json.loads((tmp_path / "out" / f"{stem}.json").read_text(encoding="utf-8"))
        ids = read(tmp_path / "out" / f"{stem}.png") @ [1, 256, 65536]
        assert sorted(row["id"] for row in rows["segments"]) == sorted(set(ids.flat) - {0})
        assert rows["file_name"].startswith(f"{stem}.")
        assert (rows["height"], rows["width"]) == (40, 50)
        assert rows["timing_ms"] == {}  # same input, same file
        assert all("rle" not in row for row in rows["segments"])
    again = Segmenter(fake_model.artifact, FakeEngine())
    expected = again.segment((pictures / "a.png").read_bytes(), "panoptic").id_map
    assert np.array_equal(read(tmp_path / "out" / "a.png") @ [1, 256, 65536], expected)


def test_semantic_writes_one_channel(pictures: Path, tmp_path: Path, fake_model: Segmenter) -> None:
    segment([pictures / "a.png"], tmp_path / "out", form=Format.png, mode="semantic")
    again = Segmenter(fake_model.artifact, FakeEngine())
    expected = again.segment((pictures / "a.png").read_bytes(), "semantic").id_map - 1
    assert np.array_equal(read(tmp_path / "out" / "a.png"), expected)
    assert not (tmp_path / "out" / "a.json").exists()


def test_json_carries_masks(pictures: Path, tmp_path: Path) -> None:
    segment([pictures], tmp_path / "out", form=Format.json, mode="instance")
    answer = json.loads((tmp_path / "out" / "a.json").read_text(encoding="utf-8"))
    assert all(row["rle"]["size"] == [40, 50] for row in answer["segments"])
    assert not (tmp_path / "out" / "a.png").exists()


def test_overlay_has_the_size_of_the_picture(pictures: Path, tmp_path: Path) -> None:
    segment([pictures / "a.png"], tmp_path / "out", form=Format.overlay)
    assert read(tmp_path / "out" / "a.png").shape == (40, 50, 3)


def test_a_broken_picture_is_reported_and_the_others_go_on(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "c.png").write_bytes(to_bytes(np.zeros((8, 8, 3), np.uint8))[:40])
    (pictures / "d.png").symlink_to("nowhere")
    (pictures / "e.png").mkdir()
    with pytest.raises(SystemExit) as exit_status:
        segment([pictures], tmp_path / "out", form=Format.png)
    assert exit_status.value.code == 1
    told = capsys.readouterr().err.splitlines()
    assert [f"{name}.png" in line for name, line in zip("cde", told, strict=True)] == [True] * 3
    assert {p.name for p in (tmp_path / "out").glob("*.png")} == {"a.png", "b.png"}


def test_an_output_that_is_a_file_is_refused(pictures: Path) -> None:
    with pytest.raises(InvalidParameterError, match="expected a folder for --output"):
        segment([pictures / "b.jpg"], pictures / "a.png", form=Format.png)


@pytest.mark.parametrize("model", ["", "a,b"])
def test_it_takes_one_model(pictures: Path, tmp_path: Path, model: str) -> None:
    with pytest.raises(InvalidParameterError, match="expected one --model"):
        segment([pictures], tmp_path / "out", form=Format.png, model=model)


def test_what_would_lose_something_is_refused_before_any_work(
    pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidParameterError, match="nothing at"):
        find_pictures([tmp_path / "absent.png"], tmp_path)
    with pytest.raises(InvalidParameterError, match="got none in"):
        find_pictures([tmp_path], tmp_path / "out")
    with pytest.raises(InvalidParameterError, match="would be replaced"):
        find_pictures([pictures], pictures)
    (pictures / "a.jpg").write_bytes(b"")
    with pytest.raises(InvalidParameterError, match="with the stem 'a'"):
        find_pictures([pictures], tmp_path / "out")


def test_tiles_give_the_segmenter_s_own_answer(tmp_path: Path, fake_model: Segmenter) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "big.png")
    again = Segmenter(fake_model.artifact, FakeEngine())
    segment([tmp_path / "big.png"], tmp_path / "out", form=Format.png, mode="semantic", tile="64")
    expected = again.segment(pixels, "semantic", 64).id_map - 1
    assert np.array_equal(read(tmp_path / "out" / "big.png"), expected)
    with pytest.raises(InvalidParameterError, match="expected a tile of auto, whole or pixels"):
        segment([tmp_path / "big.png"], tmp_path / "out", tile="63")
