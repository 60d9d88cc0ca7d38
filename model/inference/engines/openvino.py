"""OpenVINO, the default on CPUs: one dynamic graph, one stream per slot."""

import queue
from pathlib import Path

import numpy as np
import openvino

from model.artifact import Artifact
from model.errors import EngineError, EngineUnavailableError
from model.inference.engines.checks import check_pixels, check_precision, find_graph, one_line
from model.inference.engines.cores import default_slots, usable_cores

# OpenVINO's word for a device's ability -> our word, and the hint that asks for it. A quantised
# graph says itself where it is int8; the rest of it runs in float32.
PRECISIONS = {
    "FP32": ("float32", "f32"),
    "BF16": ("bfloat16", "bf16"),
    "FP16": ("float16", "f16"),
    "INT8": ("int8", "f32"),
}


class OpenVinoEngine:
    """Runs `model.onnx` of any batch, height and width on one compiled model."""

    name = "openvino"

    def __init__(
        self,
        artifact: Artifact,
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        slots: int | None = None,
        max_batch: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Compile the graph.

        Args:
            artifact: holds a graph with the role `onnx` (`onnx_int8` for int8).
            device: `auto` (= `cpu`), or another device that OpenVINO finds here.
            precision: `auto` is bfloat16 where the processor multiplies it natively (AMX or
                AVX512_BF16), else float32.
            threads: of all slots together; default: the usable cores.
            slots: streams, each with its own share of the threads; default: `default_slots`.
            max_batch: largest B; default 1, because on CPUs streams win and batches lose
                (numbers at `default_slots`).
            cache_dir: where compiled models are kept for the next start; None keeps none.

        Raises:
            EngineError: no graph, a precision that the device lacks, or OpenVINO's own failure.
            EngineUnavailableError: the device is not here.
        """
        core = openvino.Core()
        self.device = _choose_device(core, device)
        self.precision, hint = _choose_precision(core, self.device, precision)
        threads = threads or usable_cores()
        self.slots = slots or default_slots(threads)
        self.max_batch = max_batch or 1
        options = {"NUM_STREAMS": self.slots, "INFERENCE_PRECISION_HINT": hint}
        if self.device == "CPU":
            options["INFERENCE_NUM_THREADS"] = threads
        if cache_dir is not None:
            options["CACHE_DIR"] = str(cache_dir)
        graph = find_graph(artifact, self.precision)
        try:
            compiled = core.compile_model(graph, self.device, options)
            requests = [compiled.create_infer_request() for _ in range(self.slots)]
        except RuntimeError as error:
            raise EngineError(f"OpenVINO could not compile {graph}: {one_line(error)}") from error
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        for request in requests:
            self._idle.put(request)

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """See `Engine.run`; a call beyond `slots` waits for a slot."""
        pixels = check_pixels(pixels, self.max_batch)
        request = self._idle.get()
        try:
            request.infer({"pixels": pixels}, share_inputs=True)
            # The request's next run overwrites its outputs, so they are copied out.
            outputs = [np.array(t.data, np.float32) for t in request.output_tensors]
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO failed on pixels {pixels.shape}: {one_line(error)}"
            ) from error
        finally:
            self._idle.put(request)
        return (None, outputs[0]) if len(outputs) == 1 else (outputs[0], outputs[1])

    def close(self) -> None:
        """See `Engine.close`."""
        self._idle = queue.SimpleQueue()


def _choose_device(core: openvino.Core, device: str) -> str:
    name = "CPU" if device == "auto" else device.upper()
    if name not in core.available_devices:
        here = ", ".join(d.lower() for d in core.available_devices)
        raise EngineUnavailableError(f"expected a device of openvino ({here}), got {device}")
    return name


def _choose_precision(core: openvino.Core, device: str, precision: str) -> tuple[str, str]:
    able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    hints = dict(PRECISIONS[word] for word in able if word in PRECISIONS)
    if precision == "auto":
        precision = "bfloat16" if "bfloat16" in hints else "float32"
    check_precision(precision, hints, f"openvino on {device}")
    return precision, hints[precision]
