"""Jobs of many pictures: nothing lost, nothing doubled, and each answer the segmenter's own."""

import json
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest

from model.artifact import load_artifact
from model.bulk.plan import Part, extend, find_inputs, from_json, to_json
from model.bulk.storage import Folder
from model.data.readers.coco_panoptic import CocoPanoptic
from model.errors import BulkError, EngineLostError, EngineMemoryError, UnavailableModeError
from model.inference.encode import rle_decode
from model.inference.segmenter import Segmenter
from model.structures import MODES
from tests.fakes import FakeEngine, fake_artifact, paint, to_bytes
from tests.model.bulk.jobs import pictures, rows, run, save, tar

ROOT = Path(__file__).parents[3]
SOON_S = 60.0
OUT = Folder.at("memory://answers")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_artifact(tmp_path_factory.mktemp("model")).folder


@pytest.fixture
def memory() -> str:
    """The URL of an empty object storage."""
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket"


@pytest.mark.parametrize("mode", MODES)
def test_rows_are_the_segmenters_own_answers(tmp_path: Path, model: Path, mode: str) -> None:
    files = pictures(5, model)
    save(tmp_path / "in", files)
    run([tmp_path / "in"], tmp_path / "out", model, asked={"mode": mode}, part_size=2, max_batch=3)
    found = rows(tmp_path / "out")
    assert [row["picture"] for row in found] == sorted(files)
    segmenter = Segmenter(load_artifact(model), FakeEngine())
    for row in found:
        own = segmenter.segment(files[row["picture"]], mode)
        assert (row["height"], row["width"], row["mode"], row["error"]) == (*own.hw, mode, None)
        assert len(row["segments"]) == len(own.segments)
        for given, segment in zip(row["segments"], own.segments, strict=True):
            assert (given["id"], given["score"]) == (segment.id, segment.score)
            mask = rle_decode(given["rle"]["counts"], tuple(given["rle"]["size"]))
            assert mask.sum() == given["area"] == segment.area_px
            if mode != "instance":
                assert np.array_equal(mask, own.id_map == segment.id)


def test_tiles_are_answered_as_the_segmenter_does(tmp_path: Path, model: Path) -> None:
    picture = to_bytes(paint(load_artifact(model), [[0, 2, 1, 3], [1, 3, 0, 2]], 48))
    save(tmp_path / "in", {"big.png": picture})
    run([tmp_path / "in"], tmp_path / "out", model, asked={"mode": "semantic", "tile": 64})
    (row,) = rows(tmp_path / "out")
    own = Segmenter(load_artifact(model), FakeEngine()).segment(picture, "semantic", 64)
    assert [s["area"] for s in row["segments"]] == [s.area_px for s in own.segments]


def test_folders_archives_and_object_storage_give_the_same_rows(
    tmp_path: Path, model: Path, memory: str
) -> None:
    files = pictures(6, model)
    save(tmp_path / "in", {f"deep/{name}": content for name, content in files.items()})
    save(f"{memory}/in", {"shard.tar": tar(files | {"notes.txt": b"", "./.hidden.png": b""})})
    run([tmp_path / "in"], f"{memory}/out", model)
    run([f"{memory}/in/*.tar"], tmp_path / "out", model)
    here, there = rows(f"{memory}/out"), rows(tmp_path / "out")
    assert [row.pop("picture") for row in here] == [f"deep/{name}" for name in sorted(files)]
    assert [row.pop("picture") for row in there] == [f"shard.tar/{name}" for name in files]
    assert here == there


def test_what_cannot_be_answered_gets_a_row_with_its_error(
    tmp_path: Path, model: Path, memory: str
) -> None:
    files = pictures(3, model)
    broken = files | {"001.png": files["001.png"][:50], "9.jpg": b""}
    whole = tar(broken)
    save(memory, {"a.tar": whole, "b.tar": whole[:1024], "c.tar": b"no archive"} | broken)
    plan, tally = run([memory], tmp_path / "out", model)
    assert len(plan.parts) == 4
    errors = {row["picture"]: row["error_type"] for row in rows(tmp_path / "out")}
    assert (tally.answered, tally.failed) == (2 + 2 + 1, 2 + 2 + 1 + 1)
    assert errors["001.png"] == errors["a.tar/001.png"] == "invalid_image_error"
    assert errors["002.png"] is errors["b.tar/000.png"] is None
    assert errors["b.tar"] == errors["c.tar"] == "read_error"
    assert [name for name in errors if name.startswith("b.tar")] == ["b.tar/000.png", "b.tar"]


def test_a_picture_that_fails_in_the_engine_fails_alone(tmp_path: Path, model: Path) -> None:
    save(tmp_path / "in", pictures(3, model))
    _, tally = run([tmp_path / "in"], tmp_path / "out", model, fail=EngineMemoryError("no room"))
    assert tally.failed == 3
    assert {row["error_type"] for row in rows(tmp_path / "out")} == {"engine_memory_error"}
    with pytest.raises(EngineLostError):
        run([tmp_path / "in"], tmp_path / "lost", model, fail=EngineLostError("gone"))
    assert not rows(tmp_path / "lost")
    run([tmp_path / "in"], tmp_path / "lost", model)
    assert {row["error"] for row in rows(tmp_path / "lost")} == {None}


def test_a_killed_job_goes_on_with_nothing_lost_or_doubled(tmp_path: Path, model: Path) -> None:
    save(tmp_path / "in", pictures(40, model))
    out = tmp_path / "out"
    words = [sys.executable, "-m", "tests.model.bulk.jobs", tmp_path / "in", out, model]
    process = subprocess.Popen(words, cwd=ROOT)
    soon_s = time.monotonic() + SOON_S
    while len(list(out.glob("*.parquet"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < soon_s
        time.sleep(0.005)
    process.kill()
    process.wait()
    there = len(rows(out))
    assert 12 <= there < 40
    plan, tally = run([tmp_path / "in"], out, model)
    assert tally.answered == 40 - there == 4 * len(plan.left)
    run([tmp_path / "in"], tmp_path / "at once", model)
    assert rows(out) == rows(tmp_path / "at once")
    assert not list(out.glob(".*"))  # what the killed writer had begun


def test_pictures_that_come_later_are_added_behind(tmp_path: Path, model: Path) -> None:
    files = pictures(7, model)
    save(tmp_path / "in", dict(list(files.items())[2:]))
    run([tmp_path / "in"], tmp_path / "out", model)
    save(tmp_path / "in", files)  # two more, before the others in the alphabet
    _, tally = run([tmp_path / "in"], tmp_path / "out", model)
    assert tally.answered == 2
    assert [row["picture"][:3] for row in rows(tmp_path / "out")] == [
        *("002", "003", "004", "005", "006"),
        *("000", "001"),
    ]


def test_a_picture_that_is_gone_has_a_row_that_says_so(tmp_path: Path, model: Path) -> None:
    save(tmp_path / "in", pictures(2, model))
    with pytest.raises(EngineLostError):
        run([tmp_path / "in"], tmp_path / "out", model, fail=EngineLostError("gone"))
    (tmp_path / "in" / "000.png").unlink()
    _, tally = run([tmp_path / "in"], tmp_path / "out", model)
    assert (tally.answered, tally.failed) == (1, 1)
    assert rows(tmp_path / "out")[0]["error_type"] == "file_not_found_error"


def test_answers_are_no_input(tmp_path: Path, model: Path) -> None:
    save(tmp_path, pictures(2, model))
    for answered in (2, 0):
        plan, tally = run([tmp_path], tmp_path / "out", model, asked={"form": "coco"})
        assert (len(plan.parts), tally.answered) == (1, answered)


def test_another_model_is_refused(tmp_path: Path, model: Path) -> None:
    save(tmp_path / "in", pictures(1, model))
    with pytest.raises(BulkError, match="with the hash other on every machine, got"):
        run([tmp_path / "in"], tmp_path / "out", model, asked={"model_hash": "other"})


def test_two_jobs_are_never_mixed(tmp_path: Path, model: Path) -> None:
    save(tmp_path / "in", pictures(1, model))
    run([tmp_path / "in"], tmp_path / "out", model)
    with pytest.raises(BulkError, match="mode='panoptic' in place of 'semantic'"):
        run([tmp_path / "in"], tmp_path / "out", model, asked={"mode": "semantic"})


@pytest.mark.parametrize("mode", ["panoptic", "semantic"])
def test_coco_is_what_our_own_reader_reads(tmp_path: Path, model: Path, mode: str) -> None:
    files = pictures(5, model)
    save(tmp_path / "in", files | {"x/bad.png": b"bad"})
    asked = {"form": "coco", "mode": mode}
    run([tmp_path / "in"], tmp_path / "out", model, asked=asked, part_size=2)
    run([tmp_path / "in"], tmp_path / "out", model, asked=asked, part_size=2)
    taxonomy = load_artifact(model).manifest.taxonomy
    source = CocoPanoptic(
        tmp_path / "out" / "panoptic.json", tmp_path / "in", tmp_path / "out" / "panoptic", taxonomy
    )
    assert [source.name(index) for index in range(len(source))] == sorted(files)
    segmenter = Segmenter(load_artifact(model), FakeEngine())
    for index, content in enumerate(files.values()):
        own = segmenter.segment(content, mode)
        given = source[index]
        numbers = [list(dict.fromkeys(ids.flat)) for ids in (given.panoptic, own.id_map)]
        renamed = dict(zip(*numbers, strict=True))  # the reader counts its segments anew
        assert np.array_equal(np.vectorize(renamed.get)(given.panoptic), own.id_map)
        assert {renamed[segment.id]: segment.class_index for segment in given.segments} == {
            segment.id: segment.class_index for segment in own.segments
        }
    content = json.loads((tmp_path / "out" / "panoptic.json").read_text(encoding="utf-8"))
    assert [row["file_name"] for row in content["errors"]] == ["x/bad.png"]
    with pytest.raises(UnavailableModeError, match="parquet holds masks that overlap"):
        run([tmp_path / "in"], tmp_path / "other", model, asked=asked | {"mode": "instance"})


def test_inputs_that_are_none_are_refused(tmp_path: Path, memory: str) -> None:
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    for url in (tmp_path / "absent.png", tmp_path / "*.png", f"{memory}/absent"):
        with pytest.raises(BulkError, match="expected pictures at"):
            find_inputs([str(url)], OUT)
    with pytest.raises(BulkError, match="got none in"):
        find_inputs([str(tmp_path)], OUT)
    with pytest.raises(BulkError, match="that fsspec opens, got nowhere://x"):
        find_inputs(["nowhere://x"], OUT)
    with pytest.raises(BulkError, match="inputs of one storage"):
        find_inputs([str(tmp_path), memory], OUT)
    with pytest.raises(BulkError, match="can be written"):
        Folder.at(str(tmp_path / "notes.txt")).write("a", b"")


def test_names_are_relative_to_what_all_inputs_share(tmp_path: Path) -> None:
    save(tmp_path, {"a/1.png": b"1", "b/c/2.jpg": b"22", "b/.3.jpg": b"", "b/4.TAR": b"4444"})
    found = find_inputs([str(tmp_path / "a"), str(tmp_path / "b")], OUT)
    assert found.sizes_bytes == {"a/1.png": 1, "b/c/2.jpg": 2, "b/4.TAR": 4}
    alone = find_inputs([str(tmp_path / "a" / "1.png")], OUT)
    assert (alone.root.path, dict(alone.sizes_bytes)) == (str(tmp_path / "a"), {"1.png": 1})
    parts = extend([], found.sizes_bytes, part_size=1)
    assert parts == [
        Part(0, 1, ("a/1.png",)),
        Part(1, 2, ("b/c/2.jpg",)),
        Part(2, 4, archive="b/4.TAR"),
    ]
    assert [from_json(to_json(part)) for part in parts] == parts
    assert extend(parts, found.sizes_bytes, part_size=1) == parts
