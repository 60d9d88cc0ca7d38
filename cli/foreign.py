"""Models of other implementations in the settings -> model folders in the cache."""

import hashlib
import importlib.util
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from app.loading import ModelSource, find_sources
from app.settings import Settings
from model.artifact import MANIFEST
from model.errors import CheckpointError

if TYPE_CHECKING:
    from model.artifact import Artifact


def import_foreign(settings: Settings) -> Settings:
    """Import every foreign model that is not in the cache yet.

    Returns:
        the settings with folders in the cache in place of foreign models.

    Raises:
        CheckpointError: one cannot be imported, or the libraries for that are not installed.
    """
    entries = []
    for source in find_sources(settings):
        location = source.location
        if _is_foreign(location):
            location = str(_cached(source, settings.cache_dir))
        entries.append(f"{source.name}={location}")
    return settings.model_copy(update={"models": tuple(entries)})


def _is_foreign(location: str) -> bool:
    path = Path(location)
    if path.is_dir():
        return not (path / MANIFEST).is_file() and (path / "config.json").is_file()
    if path.is_file():
        return path.suffix in (".pkl", ".pth")
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", location) is not None


def _cached(source: ModelSource, cache_dir: Path) -> Path:
    """The imported model, from the cache or made now; a broken import leaves nothing behind."""
    folder = cache_dir / "models" / f"{source.name}-{_fingerprint(source.location)}"
    if (folder / MANIFEST).is_file():
        return folder
    if importlib.util.find_spec("torch") is None:
        where = "" if Path(source.location).exists() else " (no path here, so from the hub)"
        raise CheckpointError(
            f"expected the libraries that import {source.location}{where}, got no torch: "
            "run make install, or pip install 'maskformer-serving[train]'"
        )
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        _import(source.location, partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _import(location: str, folder: Path) -> "Artifact":
    from model.checkpoints.import_checkpoint import import_checkpoint
    from model.export.to_onnx import export_onnx

    source, revision = location, None
    if "@" in location and not Path(location).exists():
        source, _, revision = location.partition("@")
    artifact, notes = import_checkpoint(source, folder, revision=revision)
    for note in notes:
        print(note)
    return export_onnx(artifact)


def _fingerprint(location: str) -> str:
    """Tells one source from another, and a changed local file from what it was."""
    path = Path(location)
    text = location
    if path.exists():
        files = [path] if path.is_file() else sorted(path.iterdir())
        facts = [f"{f.name} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files]
        text = "\n".join([str(path.resolve()), *facts])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
