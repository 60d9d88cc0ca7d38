"""`maskformer segment`: pictures in, label maps or masks out, through the core that serves."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.errors import ImageError, InvalidParameterError

if TYPE_CHECKING:
    from app.parameters import Masks
    from model.bulk.job import FormName
    from model.inference.options import Wishes
    from model.inference.segmenter import Segmenter
    from model.inference.tile import Tile
    from model.structures import Segmentation

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


class Format(StrEnum):
    """What is written for a picture."""

    png = "png"
    json = "json"
    overlay = "overlay"
    parquet = "parquet"
    coco = "coco"


_BULK: "Mapping[Format, FormName]" = {Format.parquet: "parquet", Format.coco: "coco"}


class Place(StrEnum):
    """Where the work is done."""

    here = "here"
    ray = "ray"


def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, or folders of pictures. With parquet and coco also subfolders, .tar "
            "archives, patterns, and URLs such as s3://bucket/folder."
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            help="Folder for the answers; made if absent. With parquet and coco also a URL."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="A bundled model's name, a folder, or NAME=FOLDER.")
    ] = "scenes",
    mode: Annotated[
        str | None, typer.Option(help="panoptic, semantic or instance; default: the model's.")
    ] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="png: label map or panoptic PNG; json: COCO RLE; overlay: colours. For any number "
            "of pictures, resumed by the same command after a kill: parquet: rows with COCO RLE; "
            "coco: panoptic PNGs and panoptic.json.",
        ),
    ] = Format.png,
    tile: Annotated[
        str | None,
        typer.Option(
            help="Big pictures: answer in overlapping windows with this edge in pixels, or auto "
            "for the one that reaches the network at full resolution, or whole for none; "
            "default: what the model is made for."
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, openvino, onnxruntime or torch.")] = "auto",
    device: Annotated[str, typer.Option(help="In the runtime's own words.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, float32, bfloat16, float16 or int8.")
    ] = "auto",
    score_threshold: Annotated[float | None, typer.Option(help="Least score of a segment.")] = None,
    overlap_threshold: Annotated[
        float | None, typer.Option(help="Least share of its own mask that a query wins.")
    ] = None,
    mask_threshold: Annotated[
        float | None, typer.Option(help="Probability that makes a mask.")
    ] = None,
    part_size: Annotated[
        int,
        typer.Option(
            min=1, help="parquet, coco: pictures that are written, or done again, together."
        ),
    ] = 1000,
    on: Annotated[
        Place, typer.Option(help="parquet, coco: this machine, or the Ray cluster at RAY_ADDRESS.")
    ] = Place.here,
    workers: Annotated[int, typer.Option(min=1, help="ray: models side by side.")] = 1,
    worker_cpus: Annotated[float, typer.Option(min=0, help="ray: cores for each.")] = 1,
    worker_gpus: Annotated[float, typer.Option(min=0, help="ray: GPUs for each.")] = 0,
) -> None:
    """Write STEM.png for each picture, and where there are things STEM.json beside it.

    A picture that cannot be read is reported, or gets a row with its error, and the others go on;
    the exit status is then 1.
    """
    from model.inference.tile import parse_tile

    edge = parse_tile(tile)
    if "," in model or not model.strip():
        raise InvalidParameterError(f"expected one --model, got {model!r}")
    flags = {"models": model, "engine": engine, "device": device, "precision": precision}
    thresholds: Wishes = {
        "score_threshold": score_threshold,
        "overlap_threshold": overlap_threshold,
        "mask_threshold": mask_threshold,
    }
    if form in _BULK:
        from cli.bulk import segment_in_bulk

        cluster = (workers, worker_cpus, worker_gpus) if on is Place.ray else None
        segment_in_bulk(
            [str(one) for one in inputs],
            str(output),
            flags,
            _BULK[form],
            mode,
            edge,
            thresholds,
            part_size,
            cluster,
        )
        return
    if on is Place.ray or any("://" in str(place) for place in (output, *inputs)):
        raise InvalidParameterError(
            f"expected --format parquet or coco for URLs and for --on ray, got {form}"
        )
    pictures = find_pictures([Path(one) for one in inputs], Path(output))
    _segment_files(pictures, Path(output), flags, form, mode, edge, thresholds)


def _segment_files(
    pictures: Sequence[Path],
    output: Path,
    flags: Mapping[str, str],
    form: Format,
    mode: str | None,
    tile: "Tile | None",
    thresholds: "Wishes",
) -> None:
    from app.loading import load_segmenters
    from app.settings import load_settings
    from cli.foreign import import_foreign

    ((name, segmenter),) = load_segmenters(import_foreign(load_settings(flags))).items()
    with segmenter:
        segmenter.options(mode, **thresholds)  # refuses before any work
        _make_folder(output)

        def answer(path: Path) -> None:
            result = segmenter.segment(path.read_bytes(), mode, tile, **thresholds)
            write(result, path, output, form, name, segmenter)

        failures = run_all(answer, pictures, threads=segmenter.engine.slots + 1)
    print(f"{len(pictures) - failures} pictures segmented to {output}")
    if failures:
        sys.exit(1)


def find_pictures(inputs: Iterable[Path], output: Path) -> list[Path]:
    """All pictures among files and folders (not their subfolders), each with a stem of its own.

    Raises:
        InvalidParameterError: a path that does not exist, no picture at all, two pictures whose
            answers would have one name, or an answer that would replace an input.
    """
    pictures: list[Path] = []
    for path in inputs:
        if path.is_dir():
            pictures += sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
        elif path.is_file():
            pictures.append(path)
        else:
            raise InvalidParameterError(f"expected a picture or a folder, got nothing at {path}")
    if not pictures:
        raise InvalidParameterError(
            f"expected pictures ({', '.join(sorted(_SUFFIXES))}), got none in "
            f"{', '.join(map(str, inputs))}"
        )
    stem, times = Counter(path.stem for path in pictures).most_common(1)[0]
    if times > 1:
        raise InvalidParameterError(
            f"expected one picture per file stem, because answers are named after it; "
            f"got {times} with the stem {stem!r}"
        )
    written = {(output / f"{path.stem}.png").resolve() for path in pictures}
    replaced = written & {path.resolve() for path in pictures}
    if replaced:
        raise InvalidParameterError(
            f"expected an output folder apart from the pictures, got one where {min(replaced)} "
            "would be replaced"
        )
    return pictures


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidParameterError(
            f"expected a folder for --output, got {output}: {error.strerror}"
        ) from None


def write(
    result: "Segmentation",
    path: Path,
    output: Path,
    form: Format,
    name: str,
    segmenter: "Segmenter",
) -> None:
    """Write the files of one answer, named after the picture's stem."""
    from model.inference.decode import decode
    from model.inference.encode import map_png, overlay

    classes = segmenter.artifact.manifest.taxonomy.classes
    stem = output / path.stem
    if form is Format.overlay:
        picture = decode(path.read_bytes(), segmenter.limits)
        colors, labels = [c.color for c in classes], [c.name for c in classes]
        stem.with_name(f"{path.stem}.png").write_bytes(overlay(picture, result, colors, labels))
        return
    if form is Format.png:
        stem.with_name(f"{path.stem}.png").write_bytes(map_png(result, classes))
    if form is Format.json or result.mode != "semantic":
        masks: Masks = "rle" if form is Format.json else "none"
        text = _json(result, path.name, name, segmenter, masks)
        stem.with_name(f"{path.stem}.json").write_text(text, encoding="utf-8")


def _json(
    result: "Segmentation", file_name: str, name: str, segmenter: "Segmenter", masks: "Masks"
) -> str:
    """The service's JSON answer, its timings left empty, with the picture's name in front."""
    from app.answer import describe_segmentation

    answer = describe_segmentation(result, name, segmenter.artifact, masks)
    fields = answer.model_dump(mode="json", exclude_unset=True)
    return json.dumps({"file_name": file_name, **fields}) + "\n"


def run_all(answer: Callable[[Path], None], pictures: Sequence[Path], threads: int) -> int:
    """Answer all pictures in threads and report those that cannot be; returns their number."""
    failures = 0
    with ThreadPoolExecutor(threads) as pool:
        for path, future in [(path, pool.submit(answer, path)) for path in pictures]:
            try:
                future.result()
            except (ImageError, OSError) as error:
                failures += 1
                print(f"maskformer: {path}: {error}", file=sys.stderr)
    return failures
