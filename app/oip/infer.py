"""One infer request of the Open Inference Protocol: what it asks for, and its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.many import all_or_none, gate
from app.oip.outputs import Tensor, check_tiled, choose, fill, stack
from app.oip.wire import InferHead, InferRequest, decompress, read_request, write_response
from app.parameters import Parameters, read_parameters
from app.segmented import Segmented
from app.served_model import ServedModel
from app.service import SegmentationService
from app.settings import Settings
from app.turn import PRIORITIES, Priority
from model.errors import ImageTooLargeError, InvalidParameterError
from model.inference.segmenter import Picture

_FOREVER_US = 10**15  # above all settings; far larger numbers do not fit a float

WISHES = ("mode", "score_threshold", "overlap_threshold", "mask_threshold", "tile", "classes")
KNOWN = (*WISHES, "timeout", "priority", "binary_data_output")


@dataclass(frozen=True, eq=False)
class Inference:
    """A checked request.

    Attributes:
        pictures: N, encoded or (h, w, 3) uint8.
        parameters: with the model and the mode filled in.
        outputs: names, in the order of the answer.
        binary: those that go behind the JSON part.
        id: comes back with the answer.
        timeout_ms: that the caller gives; None is the service's own.
        priority: likewise.
    """

    pictures: Sequence[Picture]
    parameters: Parameters
    outputs: tuple[str, ...]
    binary: set[str]
    id: str
    timeout_ms: float | None
    priority: Priority | None


def read_inference(
    body: bytes, headers: Mapping[str, str], model: ServedModel, settings: Settings
) -> Inference:
    """Take a request apart and check it against the model; large ones take their time.

    Args:
        body: as it came.
        headers: by lower-case name.
        model: that the route names.
        settings: its limits.

    Raises:
        MaskFormerError: what `decompress` and `read_request` raise, `InvalidParameterError` for
            an unknown input, output or parameter, `ImageTooLargeError` for too many pixels.
    """
    plain = decompress(body, headers.get("content-encoding"), settings.max_body_bytes)
    request = read_request(
        plain, headers.get("inference-header-content-length"), settings.max_pictures_per_request
    )
    head, manifest = request.head, model.segmenter.artifact.manifest
    _check_parameters(head)
    wishes = [(name, _wish(head.parameters[name])) for name in WISHES if name in head.parameters]
    parameters = read_parameters([], [("model", model.name), *wishes])
    outputs, mode = choose([o.name for o in head.outputs], parameters.mode, manifest)
    if model.segmenter.window_edge_px(parameters.tile) is not None:
        check_tiled(outputs, mode)
    return Inference(
        pictures=_pictures(request, settings.max_image_pixels),
        parameters=parameters.model_copy(update={"mode": mode}),
        outputs=outputs,
        binary=_binary(head, outputs),
        id=head.id,
        timeout_ms=_timeout_ms(head.parameters.get("timeout")),
        priority=_priority(head.parameters.get("priority", 0)),
    )


async def infer(
    service: SegmentationService,
    model: ServedModel,
    asked: Inference,
    deadline_s: float,
    settings: Settings,
) -> dict[str, np.ndarray | list[bytes]]:
    """Answer all pictures, or none.

    Returns:
        by output name, N pictures along the first side; a list of bytes is a BYTES tensor.

    Raises:
        InvalidParameterError: the pictures' outputs differ in size.
        ImageTooLargeError: all together they have more pixels than one picture may have.
        MaskFormerError: what `SegmentationService.answer` raises.
    """
    classes = model.class_names(asked.parameters.classes)
    turns, fits = gate(model, settings.max_queue), _Fits(settings.max_image_pixels)

    def write(done: Segmented) -> tuple[tuple[int, int], dict[str, Tensor]]:
        return done.segmentation.hw, fill(done, asked.outputs, classes)

    async def one(picture: Picture) -> dict[str, Tensor]:
        async with turns:
            hw, tensors = await service.answer(model, picture, asked.parameters, deadline_s, write)
        fits.check(hw, tensors)
        return tensors

    service.check(model, asked.parameters, deadline_s)
    tensors = await all_or_none(one, asked.pictures)
    return await service.compute(stack, tensors)


def write_answer(
    asked: Inference, model: ServedModel, tensors: Mapping[str, np.ndarray | list[bytes]]
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the answer; large ones take their time."""
    head: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if asked.id:
        head["id"] = asked.id
    head["parameters"] = {"mode": asked.parameters.mode, "model_hash": model.hash}
    return write_response(head, tensors, asked.binary)


class _Fits:
    """Watches that the answers of one request can become one tensor, of bounded size."""

    def __init__(self, max_pixels: int) -> None:
        self._left, self._max_pixels = max_pixels, max_pixels
        self._shapes: dict[str, tuple[int, ...]] = {}

    def check(self, hw: tuple[int, int], tensors: Mapping[str, Tensor]) -> None:
        self._left -= hw[0] * hw[1]
        if self._left < 0:
            raise ImageTooLargeError(
                f"expected pictures of at most {self._max_pixels} pixels together, got more"
            )
        for name, tensor in tensors.items():
            if isinstance(tensor, bytes):
                continue
            first = self._shapes.setdefault(name, tensor.shape)
            if tensor.shape != first:
                raise InvalidParameterError(
                    f"expected pictures whose {name} has one size, got {first} and "
                    f"{tensor.shape}; send each size in a request of its own, or ask for "
                    "segments_info alone"
                )


def _check_parameters(head: InferHead) -> None:
    (tensor,) = head.inputs
    _check_known("parameters of the request", head.parameters, KNOWN)
    _check_known("parameters of the input", tensor.parameters, ("binary_data_size",))
    for output in head.outputs:
        _check_known("parameters of an output", output.parameters, ("binary_data",))


def _check_known(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise InvalidParameterError(
                f"expected {what} among {', '.join(known)}; got {name[:60]!r}"
            )


def _wish(value: str | int | float | bool) -> str | float:
    return str(value) if isinstance(value, bool) else value


def _binary(head: InferHead, outputs: Sequence[str]) -> set[str]:
    """The outputs that are asked for in binary; one's own word goes before the request's."""
    default = head.parameters.get("binary_data_output", False)
    own = {output.name: output.parameters.get("binary_data", default) for output in head.outputs}
    return {name for name in outputs if own.get(name, default) is True}


def _timeout_ms(timeout_us: str | int | float | bool | None) -> float | None:
    if timeout_us is None:
        return None
    if type(timeout_us) is not int or not 0 < timeout_us < _FOREVER_US:
        raise InvalidParameterError(
            "expected timeout as a whole number of microseconds, more than 0 and below "
            f"{_FOREVER_US}, got {str(timeout_us)[:60]!r}"
        )
    return timeout_us / 1000


def _priority(level: str | int | float | bool) -> Priority | None:
    """Triton's levels: 1 goes first, higher ones later, 0 is the default."""
    if type(level) is not int or level < 0:
        raise InvalidParameterError(
            f"expected priority as a whole number from 0 on, got {str(level)[:60]!r}"
        )
    return {0: None, 1: PRIORITIES[0]}.get(level, PRIORITIES[-1])


def _pictures(request: InferRequest, max_pixels: int) -> Sequence[Picture]:
    elements = request.elements
    if isinstance(elements, list):
        return elements
    if elements.ndim != 4 or elements.shape[3] != 3:
        raise InvalidParameterError(
            f"expected a UINT8 input of the shape [N, height, width, 3], got {elements.shape}"
        )
    pixels = elements.size // 3
    if pixels > max_pixels:
        raise ImageTooLargeError(
            f"expected pictures of at most {max_pixels} pixels together, got {pixels}"
        )
    return list(elements)
