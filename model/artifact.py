"""The artifact: one folder = one model.

    my-model/
      artifact.json       architecture, preprocessing, taxonomy, licence, scores, hashes
      model.safetensors   the weights, stored once
      model.onnx          the graph; its tensors point into model.safetensors by offset
      README.md           the model card

Regular files only, no pickle. A file whose sha256 differs from `artifact.json` is refused: the
graph finds its weights by offset, so a re-saved safetensors would be read wrongly, not only be
unexpected.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from model.config import (
    ArchitectureConfig,
    Frozen,
    PostprocessingConfig,
    PreprocessingConfig,
    Taxonomy,
)
from model.errors import ArtifactError
from model.structures import Mode
from model.validation import all_expected_got

MANIFEST = "artifact.json"
WEIGHTS = "model.safetensors"
GRAPH = "model.onnx"
CARD = "README.md"

Role = Literal["weights", "onnx", "onnx_int8", "openvino", "tensorrt"]
Dtype = Literal["float32", "float16", "bfloat16", "int8", "mixed"]


class FileInfo(Frozen):
    """One file of the folder: what it is for, its number format, its hash."""

    role: Role
    dtype: Dtype
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(Frozen):
    """What `artifact.json` holds.

    Attributes:
        format: version of this layout.
        licence: of the weights, as a name a person can look up (`Apache-2.0`, `CC BY-NC 4.0`).
        source: where the weights come from, in one sentence.
        scores: measured results by name, for example `{"scenes-val/PQ": 0.61}`.
        files: by file name inside the folder; names have no slash.
    """

    format: Literal[1] = 1
    architecture: ArchitectureConfig
    preprocessing: PreprocessingConfig
    postprocessing: PostprocessingConfig
    taxonomy: Taxonomy
    licence: str
    source: str = ""
    scores: dict[str, float] = {}
    files: dict[str, FileInfo] = {}

    @model_validator(mode="after")
    def _check(self) -> "Manifest":
        classes, named = self.architecture.num_classes, len(self.taxonomy.classes)
        if classes != named:
            raise ValueError(f"expected {classes} classes in the taxonomy, got {named}")
        for name in self.files:
            if name != Path(name).name or name.startswith("."):
                raise ValueError(f"expected a plain file name, got {name!r}")
        if self.postprocessing.mode not in self.modes:
            raise ValueError(
                f"expected a default mode among {', '.join(self.modes)}, "
                f"got {self.postprocessing.mode!r}"
            )
        return self

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that this model can answer."""
        return self.taxonomy.modes if self.architecture.kind == "maskformer" else ("semantic",)


@dataclass(frozen=True)
class Artifact:
    """A model folder whose manifest was read and whose files were found whole.

    Attributes:
        folder: the folder, absolute.
        manifest: what `artifact.json` says.
        hash: first 12 hex digits of the sha256 of `artifact.json`; it names the model's exact
            state, because the manifest holds the hashes of all other files.
    """

    folder: Path
    manifest: Manifest
    hash: str

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name

    def find(self, role: Role) -> Path | None:
        """The file of that role, or None where the folder has none."""
        for name, info in self.manifest.files.items():
            if info.role == role:
                return self.folder / name
        return None


def load_artifact(folder: Path | str) -> Artifact:
    """Read a model folder and check every file it names.

    Args:
        folder: holds `artifact.json` and the files named there.

    Raises:
        ArtifactError: the folder or a file is missing, a symlink or altered, or the manifest does
            not say what is needed.
    """
    folder = Path(folder).absolute()
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(f"expected a model folder with {MANIFEST}, got none at {path}")
    text = path.read_bytes()
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise ArtifactError(f"{path}: {all_expected_got(error, 'manifest')}") from error
    for name, info in manifest.files.items():
        check_file(folder / name, info.sha256)
    return Artifact(folder, manifest, hashlib.sha256(text).hexdigest()[:12])


def save_manifest(folder: Path | str, manifest: Manifest) -> Artifact:
    """Write `artifact.json` with the present hashes of the files it names, and load it back.

    Args:
        folder: exists and holds the files named in `manifest.files`; their `sha256` there is
            replaced by what is on disk now.
        manifest: everything else.

    Raises:
        ArtifactError: a named file is missing.
    """
    folder = Path(folder)
    files = {}
    for name, info in manifest.files.items():
        if not (folder / name).is_file():
            raise ArtifactError(f"expected {name} in {folder}, got no such file")
        files[name] = info.model_copy(update={"sha256": sha256_of(folder / name)})
    data = manifest.model_copy(update={"files": files}).model_dump(mode="json")
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)
    return load_artifact(folder)


def check_file(path: Path, sha256: str) -> None:
    """Refuse a file that is absent, a symlink, or not the one that was hashed.

    Raises:
        ArtifactError: with the path and both hashes.
    """
    if path.is_symlink():
        raise ArtifactError(f"expected a regular file, got a symlink: {path}")
    if not path.is_file():
        raise ArtifactError(f"expected the file {path}, got no such file")
    actual = sha256_of(path)
    if actual != sha256:
        raise ArtifactError(f"{path}: expected sha256 {sha256}, got {actual}: the file was altered")


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
