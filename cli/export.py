"""`maskformer export`: a model folder for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from model.errors import EngineError, InvalidParameterError

if TYPE_CHECKING:
    from model.artifact import Artifact

Format = Literal["onnx", "huggingface"]


def export(
    artifact: Annotated[Path, typer.Argument(help="Model folder.")],
    format: Annotated[
        Format, typer.Option(help="onnx is written into the model folder itself.")
    ] = "onnx",
    output: Annotated[
        Path | None, typer.Option(help="Folder to make; for huggingface only.")
    ] = None,
) -> None:
    """Write the graph that OpenVINO and ONNX Runtime run, or a folder for transformers."""
    from model.artifact import load_artifact

    if (format == "huggingface") != (output is not None):
        raise InvalidParameterError(
            "expected --output with --format huggingface and only with it, "
            f"got --format {format} {'without' if output is None else 'with'} --output"
        )
    loaded = load_artifact(artifact)
    if output is None:
        _export_onnx(loaded)
        return
    from model.checkpoints.export_huggingface import export_huggingface

    export_huggingface(loaded, output)
    typer.echo(f"wrote {output}")


def _export_onnx(artifact: "Artifact") -> None:
    """Write the graph and compare it with torch; a graph that differs is not left behind."""
    from model.export.parity import check_parity, installed_engines
    from model.export.to_onnx import export_onnx, withdraw_onnx

    exported = export_onnx(artifact)
    engines = installed_engines()
    if not engines:
        typer.echo("not compared with torch: neither openvino nor onnxruntime is installed")
    try:
        rows = check_parity(exported, engines) if engines else ()
    except EngineError:
        withdraw_onnx(exported)
        raise
    for name in engines:
        largest = max(row.largest for row in rows if row.engine == name)
        typer.echo(f"{name}: differs from torch by at most {largest:.1e} (float32)")
    typer.echo(f"wrote {exported.folder / 'model.onnx'}, model hash {exported.hash}")
