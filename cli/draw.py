"""`maskformer draw`: generated scenes as pictures, with their ground truth."""

from pathlib import Path
from typing import Annotated

import typer


def draw(
    seeds: Annotated[list[int], typer.Argument(min=0, help="One scene per seed.")],
    output: Annotated[Path, typer.Option(help="Folder for the pictures; made if absent.")],
    height_px: Annotated[int, typer.Option(min=32, max=4096, help="Height of a picture.")] = 512,
    width_px: Annotated[int, typer.Option(min=32, max=4096, help="Width of a picture.")] = 768,
    truth: Annotated[bool, typer.Option(help="Also write SEED.png, a COCO panoptic PNG.")] = False,
) -> None:
    """Draw scenes SEEDS as SEED.jpg; the same seed gives the same scene."""
    import numpy as np
    from PIL import Image

    from model.data.scenes import draw_scene

    output.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        example = draw_scene(seed, height_px, width_px)
        Image.fromarray(example.image).save(output / f"{seed}.jpg", quality=90)
        if truth:
            ids = example.panoptic[..., None] >> np.array([0, 8, 16])  # R, G, B of COCO's form
            Image.fromarray((ids & 255).astype(np.uint8)).save(output / f"{seed}.png")
    print(f"{len(seeds)} scenes drawn to {output}")
