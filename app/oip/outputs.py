"""The tensors that a model offers under the Open Inference Protocol, and how they are filled."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from app.segmented import Segmented
from model.artifact import Manifest
from model.errors import EngineError, InvalidParameterError
from model.inference.encode import segments_info
from model.inference.postprocess.finite import check_finite
from model.structures import Mode

Tensor = np.ndarray | bytes

# Without a wish, these come: the map of the mode, and its segments.
_MAPS: dict[Mode, str] = {"semantic": "semantic", "panoptic": "panoptic", "instance": "panoptic"}
_INFO = "segments_info"


def offered(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Datatype and shape of every output, by name; -1 is a size that follows from the request."""
    outputs = {"semantic": {"datatype": "UINT16", "shape": [-1, -1, -1]}}
    if manifest.modes != ("semantic",):
        outputs["panoptic"] = {"datatype": "INT32", "shape": [-1, -1, -1]}
    outputs[_INFO] = {"datatype": "BYTES", "shape": [-1]}
    if manifest.architecture.kind == "maskformer":
        outputs["class_logits"] = {"datatype": "FP32", "shape": [-1, -1, -1]}
    outputs["mask_logits"] = {"datatype": "FP32", "shape": [-1, -1, -1, -1]}
    return outputs


def choose(
    asked: Sequence[str], mode: Mode | None, manifest: Manifest
) -> tuple[tuple[str, ...], Mode]:
    """The outputs to fill, and the mode that thresholds and `segments_info` speak of.

    Args:
        asked: names; none stands for the map of the mode and `segments_info`.
        mode: the one asked for; None follows from the outputs, else it is the model's own.
        manifest: of the model.

    Raises:
        InvalidParameterError: an output that the model does not offer, or one named twice.
    """
    known = offered(manifest)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise InvalidParameterError(
            f"expected outputs among {', '.join(known)}; got {unknown[0][:60]!r}"
        )
    if len(set(asked)) != len(asked):
        raise InvalidParameterError("expected each output once, got one again")
    if mode is None:
        mode = manifest.postprocessing.mode
        if "panoptic" in asked and mode == "semantic":
            mode = "panoptic"
        elif "semantic" in asked and "panoptic" not in asked:
            mode = "semantic"
    return tuple(asked) or (_MAPS[mode], _INFO), mode


def check_tiled(names: Sequence[str], mode: Mode) -> None:
    """Check that an answer made of tiles has these outputs, before any work is spent on it.

    Raises:
        InvalidParameterError: the map of another mode than the answer's, or logits.
    """
    possible = (_MAPS[mode], _INFO)
    for name in names:
        if name not in possible:
            raise InvalidParameterError(
                f"expected outputs among {', '.join(possible)} for {mode} in tiles; got {name}"
            )


def fill(done: Segmented, names: Sequence[str], classes: Sequence[str] | None) -> dict[str, Tensor]:
    """The asked outputs of one picture, without the first side that counts pictures."""
    return {name: _FILL[name](done, classes) for name in names}


def stack(pictures: Sequence[Mapping[str, Tensor]]) -> dict[str, np.ndarray | list[bytes]]:
    """Join the outputs of N >= 1 pictures, whose arrays have equal shapes."""
    joined: dict[str, np.ndarray | list[bytes]] = {}
    for name, first in pictures[0].items():
        if isinstance(first, bytes):
            joined[name] = [bytes(outputs[name]) for outputs in pictures]
        else:
            joined[name] = np.stack([np.asarray(outputs[name]) for outputs in pictures])
    return joined


def _semantic(done: Segmented, classes: Sequence[str] | None) -> np.ndarray:
    """(h, w) uint16: the class index, void = 65535."""
    labels = done.in_mode("semantic", classes).id_map - 1
    return labels.astype(np.uint16)  # void: -1 wraps to 65535


def _panoptic(done: Segmented, classes: Sequence[str] | None) -> np.ndarray:
    """(h, w) int32: the segment's id, void = 0; instances painted by ascending score."""
    mode: Mode = "panoptic" if done.segmentation.mode == "semantic" else done.segmentation.mode
    return done.in_mode(mode, classes).id_map


def _segments_info(done: Segmented, _classes: Sequence[str] | None) -> bytes:
    taxonomy = done.model.segmenter.artifact.manifest.taxonomy
    return json.dumps(segments_info(done.segmentation, taxonomy.classes)).encode()


def _class_logits(done: Segmented, _classes: Sequence[str] | None) -> np.ndarray:
    """(Q, K+1) float32, no-object last."""
    if done.raw.class_logits is None:
        raise EngineError("expected class logits of a mask classification model, got none")
    return done.raw.class_logits.astype(np.float32, copy=False)


def _mask_logits(done: Segmented, _classes: Sequence[str] | None) -> np.ndarray:
    """(Q, H/4, W/4) float32, of the padded picture; an answer may not have needed all of them."""
    check_finite(done.raw.mask_logits)
    return done.raw.mask_logits.astype(np.float32, copy=False)


_FILL: dict[str, Callable[[Segmented, Sequence[str] | None], Tensor]] = {
    "semantic": _semantic,
    "panoptic": _panoptic,
    _INFO: _segments_info,
    "class_logits": _class_logits,
    "mask_logits": _mask_logits,
}
