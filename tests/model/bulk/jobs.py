"""Small jobs on a fake engine, for tests here and in processes of their own."""

import io
import os
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import fsspec
import numpy as np
from pyarrow import parquet

from model.artifact import Artifact, load_artifact
from model.bulk.job import Job
from model.bulk.plan import Inputs, find_inputs
from model.bulk.run import Plan, Tally, begin_job, finish_job, run_part
from model.bulk.storage import Folder
from model.inference.segmenter import Segmenter
from tests.fakes import FakeEngine, paint, to_bytes


def pictures(count: int, model: Path) -> dict[str, bytes]:
    """Names and bytes; every picture differs from its neighbours."""
    artifact, draw = load_artifact(model), np.random.default_rng(0)
    return {
        f"{number:03}.png": to_bytes(paint(artifact, draw.integers(0, 4, (2, 3)).tolist()))
        for number in range(count)
    }


def save(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write files to a path or URL."""
    for name, content in files.items():
        with fsspec.open(f"{folder}/{name}", "wb", auto_mkdir=True) as file:
            file.write(content)


def tar(files: Mapping[str, bytes]) -> bytes:
    """An archive of files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def job_of(inputs: Inputs, artifact: Artifact, **asked: Any) -> Job:
    """A job with the model's own thresholds."""
    usual: dict[str, Any] = {
        "inputs": (inputs.root.url,),
        "root": inputs.root.url,
        "form": "parquet",
        "model": "fake",
        "model_hash": artifact.hash,
        "mode": "panoptic",
        "tile": None,
        "score_threshold": None,
        "overlap_threshold": None,
        "mask_threshold": None,
    }
    return Job(**usual | asked)


def load(model: Path, loaded: Path) -> Segmenter:
    """What a worker loads; leaves a file behind that tells of it."""
    loaded.mkdir(exist_ok=True)
    (loaded / str(os.getpid())).write_text("", encoding="utf-8")
    return Segmenter(load_artifact(model), FakeEngine(delay_s=0.05))


def run(
    inputs: Iterable[str | Path],
    output: str | Path,
    model: Path,
    *,
    part_size: int = 4,
    asked: Mapping[str, Any] = MappingProxyType({}),
    **engine: Any,
) -> tuple[Plan, Tally]:
    """A whole job in this process; `asked` are fields of the job, `engine` of the `FakeEngine`."""
    artifact, folder = load_artifact(model), Folder.at(str(output))
    found = find_inputs([str(one) for one in inputs], folder)
    job = job_of(found, artifact, **asked)
    kept, plan = begin_job(job, found, folder, artifact, part_size)
    segmenter, total = Segmenter(artifact, FakeEngine(**engine)), Tally()
    for part in plan.left:
        total += run_part(segmenter, job, kept, part, lambda *_: None)
    finish_job(kept, plan, folder)
    return plan, total


def rows(output: str | Path) -> list[dict[str, Any]]:
    """All rows of a Parquet output, in the order of the parts."""
    folder = Folder.at(str(output))
    found: list[dict[str, Any]] = []
    for name in sorted(name for name in folder.names() if name.endswith(".parquet")):
        with folder.fs.open(folder.of(name), "rb") as file:
            found += parquet.read_table(file).to_pylist()
    return found


if __name__ == "__main__":  # a job to be killed
    run([sys.argv[1]], sys.argv[2], Path(sys.argv[3]), delay_s=0.03)
