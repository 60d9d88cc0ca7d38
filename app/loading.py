"""The models that the settings name -> loaded segmenters."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from model.artifact import MANIFEST, load_artifact
from model.errors import ArtifactError, InvalidParameterError
from model.inference.decode import ImageLimits
from model.inference.engines import load_engine
from model.inference.segmenter import Segmenter

_LOG = logging.getLogger("maskformer")


@dataclass(frozen=True)
class ModelSource:
    """One entry of `MASKFORMER_MODELS`: the name for requests, and where the model is.

    Attributes:
        location: a folder or file, or a Hugging Face id.
    """

    name: str
    location: str


def find_sources(settings: Settings) -> tuple[ModelSource, ...]:
    """Read the entries `name`, `path` or `name=path-or-id`; the first is the default model.

    Raises:
        InvalidParameterError: an entry without a name or location, or a name given twice.
    """
    sources = tuple(_source(entry, settings.weights_dir) for entry in settings.models)
    names = [source.name for source in sources]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidParameterError(f"expected each model name once, got {twice[0]!r} again")
    return sources


def load_segmenters(settings: Settings) -> dict[str, Segmenter]:
    """Load every model that the settings name, in order.

    Raises:
        ArtifactError: one is not a model folder.
        EngineError: no engine can run one here.
    """
    limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels)
    graphs_dir = _writable(settings.cache_dir / "compiled")
    segmenters = {}
    for source in find_sources(settings):
        if not (Path(source.location) / MANIFEST).is_file():
            raise ArtifactError(
                f"expected a model folder with {MANIFEST} for {source.name!r}, "
                f"got none at {source.location}"
            )
        artifact = load_artifact(source.location)
        engine = load_engine(
            artifact,
            settings.engine,
            settings.device,
            settings.precision,
            threads=settings.engine_threads,
            slots=settings.engine_slots,
            max_batch=settings.max_batch,
            cache_dir=graphs_dir,
        )
        segmenters[source.name] = Segmenter(artifact, engine, limits)
    return segmenters


def _writable(folder: Path) -> Path | None:
    """The folder, made if absent; None where nothing can be kept: each start is slower then."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    _LOG.warning("expected a cache folder that can be written, got %s: nothing is kept", folder)
    return None


def _source(entry: str, weights_dir: Path) -> ModelSource:
    name, equals, location = entry.partition("=")
    if not equals:
        location = _location(entry, weights_dir)
        name = Path(location.partition("@")[0]).resolve().name
        name = Path(name).stem if name.endswith((".pkl", ".pth")) else name
    if not name or not location or "/" in name:
        raise InvalidParameterError(f"expected NAME, PATH or NAME=PATH-OR-ID, got {entry!r}")
    return ModelSource(name, location)


def _location(entry: str, weights_dir: Path) -> str:
    """A path, or a bundled model's folder; absolute, so that no name passes for a hub id."""
    if "/" in entry:
        return str(Path(entry).expanduser())
    bundled = (weights_dir / entry).absolute()
    return str(Path(entry).absolute() if Path(entry).exists() and not bundled.exists() else bundled)
