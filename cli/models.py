"""`maskformer models`: what a folder of models holds."""

from pathlib import Path
from typing import Annotated

import typer


def models(
    folder: Annotated[Path, typer.Argument(help="Folder of model folders.")] = Path("weights"),
) -> None:
    """List the models in a folder: hash, modes, classes, scores."""
    from model.artifact import MANIFEST, load_artifact

    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        artifact = load_artifact(path.parent)
        manifest = artifact.manifest
        scores = ", ".join(f"{name} {value:.3f}" for name, value in manifest.scores.items())
        print(
            f"{artifact.name}  {artifact.hash}  {'/'.join(manifest.modes)}  "
            f"{len(manifest.taxonomy.classes)} classes  {manifest.licence}  {scores}"
        )
