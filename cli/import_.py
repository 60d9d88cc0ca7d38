"""`maskformer import`: other people's weights become a model folder."""

from pathlib import Path
from typing import Annotated

import typer


def import_model(
    source: Annotated[
        str, typer.Argument(help="A .pkl or .pth file, a transformers folder, or owner/name.")
    ],
    destination: Annotated[Path, typer.Argument(help="Model folder to make.")],
    preset: Annotated[
        str | None, typer.Option(help="Data set of the weights, for example ade20k-semantic.")
    ] = None,
    things: Annotated[
        list[str] | None, typer.Option(help="Name of a countable class; repeat for more.")
    ] = None,
    taxonomy: Annotated[Path | None, typer.Option(help="JSON file with the class list.")] = None,
    decoder_heads: Annotated[
        int | None, typer.Option(min=1, help="Attention heads of the transformer decoder.")
    ] = None,
    encoder_heads: Annotated[
        int | None, typer.Option(min=1, help="Of the pixel decoder; default: as the decoder.")
    ] = None,
    res5_dilation: Annotated[
        list[int] | None, typer.Option(min=1, help="Of each last-stage block; repeat per block.")
    ] = None,
    stride_in_1x1: Annotated[
        bool | None, typer.Option(help="Whether ResNet bottlenecks stride in their first 1x1.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a Hugging Face id.")
    ] = None,
    shortest_edge: Annotated[
        int | None,
        typer.Option(min=0, metavar="PX", help="Shorter side after resizing; 0 = as it is."),
    ] = None,
    longest_edge: Annotated[
        int | None, typer.Option(min=1, metavar="PX", help="Limit of the longer side.")
    ] = None,
    pad_to: Annotated[
        int | None, typer.Option(min=1, metavar="PX", help="Sides are padded to multiples.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights, if not stated.")] = None,
    onnx: Annotated[bool, typer.Option(help="Also write the graph that serving needs.")] = True,
) -> None:
    """Import SOURCE, a model of the original implementation or of transformers."""
    from model.checkpoints.import_checkpoint import import_checkpoint

    artifact, notes = import_checkpoint(
        source,
        destination,
        preset,
        revision=revision,
        taxonomy=taxonomy,
        things=things or (),
        decoder_heads=decoder_heads,
        encoder_heads=encoder_heads,
        res5_dilations=res5_dilation,
        stride_in_1x1=stride_in_1x1,
        shortest_edge_px=shortest_edge,
        longest_edge_px=longest_edge,
        pad_to_px=pad_to,
        licence=licence,
    )
    for note in notes:
        print(note)
    if onnx:
        from model.export.to_onnx import export_onnx

        artifact = export_onnx(artifact)
    print(f"{artifact.folder}: model {artifact.name}, hash {artifact.hash}")
    print(f"next: MASKFORMER_MODELS={destination} make serve")
