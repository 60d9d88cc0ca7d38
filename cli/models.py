"""`maskformer models`: what a folder of models holds."""

from pathlib import Path
from typing import Annotated

import typer


def models(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of model folders; default: the bundled ones.")
    ] = None,
) -> None:
    """List the models in a folder: hash, modes, classes, scores."""
    from app.settings import load_settings
    from model.artifact import MANIFEST, load_artifact

    folder = folder or load_settings().weights_dir
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        artifact = load_artifact(path.parent)
        manifest = artifact.manifest
        scores = ", ".join(f"{name} {value:.3f}" for name, value in manifest.scores.items())
        print(
            f"{artifact.name}  {artifact.hash}  {'/'.join(manifest.modes)}  "
            f"{len(manifest.taxonomy.classes)} classes  {manifest.licence}  {scores}"
        )
