"""Turn other people's weights into a model folder."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.artifact import (
    CARD,
    WEIGHTS,
    Artifact,
    Dtype,
    FileInfo,
    Manifest,
    load_artifact,
    save_manifest,
)
from model.checkpoints.architecture import Hints, read_architecture
from model.checkpoints.choose import Wishes, choose
from model.checkpoints.foreign import Foreign
from model.checkpoints.hub import fetch, is_hub_id
from model.checkpoints.huggingface import read_huggingface
from model.checkpoints.model_card import describe, write_card
from model.checkpoints.original import read_original
from model.errors import CheckpointError, InvalidParameterError
from model.network.load import check_state, save_weights
from model.network.maskformer import build_network

_DTYPES: dict[torch.dtype, Dtype] = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}


def import_checkpoint(
    source: str | Path,
    destination: str | Path,
    preset: str | None = None,
    *,
    revision: str | None = None,
    taxonomy: str | Path | None = None,
    things: Sequence[str] = (),
    decoder_heads: int | None = None,
    encoder_heads: int | None = None,
    res5_dilations: Sequence[int] | None = None,
    stride_in_1x1: bool | None = None,
    shortest_edge_px: int | None = None,
    longest_edge_px: int | None = None,
    pad_to_px: int | None = None,
    licence: str | None = None,
) -> tuple[Artifact, tuple[str, ...]]:
    """Import a model of the original implementation or of transformers.

    The weights keep their number format. Everything they do not tell comes from the arguments,
    else from the source's own description, else from the data set's preset, else from the paper.

    Args:
        source: a `.pkl` or `.pth` file, a folder of transformers, or a Hugging Face id.
        destination: the model folder to make; absent or empty.
        preset: name of a data set's preset; None = from the hub's name or number of classes.
        revision: of a Hugging Face id.
        taxonomy: JSON file with the class list.
        things: names of the countable classes.
        decoder_heads: attention heads of the transformer decoder.
        encoder_heads: attention heads of the pixel decoder's encoder; None = `decoder_heads`.
        res5_dilations: dilation of each block of the last ResNet stage.
        stride_in_1x1: whether ResNet bottlenecks stride in their first convolution.
        shortest_edge_px: the shorter side after resizing; 0 = as it is.
        longest_edge_px: limit of the longer side, also where the shorter is left as it is.
        pad_to_px: padded sides are multiples of this.
        licence: of the weights, where the source does not state it.

    Returns:
        the model folder, without a graph yet; and sentences on what was decided.

    Raises:
        CheckpointError: the source is missing, broken or no MaskFormer, or `destination` is taken.
        InvalidParameterError: an argument has no sound value.
    """
    destination = Path(destination).absolute()
    _expect_free(destination)
    foreign = read_foreign(source, revision)
    if licence:
        foreign = replace(foreign, licence=licence)
    told: dict[str, Any] = {
        "decoder_heads": decoder_heads,
        "encoder_heads": encoder_heads,
        "res5_dilations": None if res5_dilations is None else tuple(res5_dilations),
        "stride_in_1x1": stride_in_1x1,
    }
    hints = replace(foreign.hints, **{k: v for k, v in told.items() if v is not None})
    wishes = Wishes(
        preset,
        None if taxonomy is None else Path(taxonomy),
        tuple(things),
        shortest_edge_px,
        longest_edge_px,
        pad_to_px,
    )
    manifest, notes = make_manifest(foreign, hints, wishes)
    title = Path(source).name
    return _write(destination, title, foreign.state, manifest), notes


def read_foreign(source: str | Path, revision: str | None = None) -> Foreign:
    """Read a file, a folder or a hub id.

    Raises:
        CheckpointError: there is no such thing, or it is broken or no MaskFormer.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return read_huggingface(path)
    if path.is_file():
        return read_original(path)
    if is_hub_id(str(source)):
        return read_huggingface(fetch(str(source), revision), str(source))
    raise CheckpointError(
        f"expected a file, a folder or a Hugging Face id owner/name, got {str(source)!r}"
    )


def make_manifest(
    foreign: Foreign, hints: Hints, wishes: Wishes
) -> tuple[Manifest, tuple[str, ...]]:
    """Describe foreign weights as one of our models, after checking that they fit.

    Raises:
        CheckpointError: a key is missing, surplus or misshapen.
        InvalidParameterError: an argument has no sound value.
    """
    architecture = read_architecture(foreign.state, hints, foreign.spell)
    try:
        with torch.device("meta"):  # names and shapes only
            network = build_network(architecture)
    except InvalidParameterError as error:
        raise CheckpointError(f"the weights give no sound architecture: {error}") from error
    check_state(network, foreign.state, foreign.spell)
    choice = choose(foreign, architecture, wishes)
    manifest = Manifest(
        architecture=architecture,
        preprocessing=choice.preprocessing,
        postprocessing=choice.postprocessing,
        taxonomy=choice.taxonomy,
        licence=foreign.licence,
        source=foreign.source,
        files={WEIGHTS: FileInfo(role="weights", dtype=_dtype(foreign.state), sha256="0" * 64)},
    )
    summary = (describe(architecture), f"licence of the weights: {foreign.licence}")
    return manifest, (*summary, *foreign.notes, *choice.notes)


def _write(
    destination: Path, title: str, state: Mapping[str, Tensor], manifest: Manifest
) -> Artifact:
    """Write beside the destination, then rename: a folder is there whole or not at all."""
    partial = destination.with_name(f".{destination.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        save_weights(state, partial / WEIGHTS)
        write_card(partial / CARD, title, manifest)
        save_manifest(partial, manifest)
        partial.replace(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_artifact(destination)


def _expect_free(destination: Path) -> None:
    taken = destination.is_dir() and any(destination.iterdir())
    if taken or (destination.exists() and not destination.is_dir()):
        raise CheckpointError(f"expected a free place for the model folder, got {destination}")


def _dtype(state: Mapping[str, Tensor]) -> Dtype:
    formats = {tensor.dtype for tensor in state.values()}
    return _DTYPES.get(formats.pop(), "mixed") if len(formats) == 1 else "mixed"
