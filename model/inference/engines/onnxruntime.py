"""ONNX Runtime: CPU anywhere; CUDA and TensorRT where their libraries are installed."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from model.artifact import Artifact
from model.errors import EngineError, EngineUnavailableError
from model.inference.engines.checks import check_pixels, check_precision, find_graph, one_line
from model.inference.engines.cores import default_slots, usable_cores

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
# The graph computes in float32; only TensorRT narrows it by itself.
PRECISIONS = {
    "cpu": ("float32", "int8"),
    "cuda": ("float32",),
    "tensorrt": ("float32", "float16", "bfloat16"),
}
FATAL = 4  # of ONNX Runtime's log; errors come as exceptions too


class OnnxRuntimeEngine:
    """Runs `model.onnx` of any batch, height and width in one session."""

    name = "onnxruntime"

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
        """Open a session.

        Args:
            artifact: holds a graph with the role `onnx` (`onnx_int8` for int8).
            device: `cpu`, `cuda`, `tensorrt`, the last two with an optional `:index`; `auto` is
                `cuda` where it works, else `cpu`.
            precision: `auto` is float32 (TensorRT: float16).
            threads: on the CPU, of all slots together; default: the usable cores.
            slots: concurrent runs; default: `default_slots` on the CPU, 1 elsewhere.
            max_batch: largest B; default 1 on the CPU, 8 elsewhere.
            cache_dir: where TensorRT keeps its built plans; None keeps none.

        Raises:
            EngineError: no graph, a precision that the device lacks, or the runtime's own failure.
            EngineUnavailableError: the device or its libraries are not here.
        """
        onnxruntime.disable_telemetry_events()
        kind, index = _choose_device(device)
        if precision == "auto":
            precision = "float16" if kind == "tensorrt" else "float32"
        where = f"onnxruntime on {kind}"
        self.precision = check_precision(precision, PRECISIONS[kind], where)
        threads = threads or usable_cores()
        self.device = kind if kind == "cpu" else f"{kind}:{index}"
        self.slots = slots or (default_slots(threads) if kind == "cpu" else 1)
        self.max_batch = max_batch or (1 if kind == "cpu" else 8)
        self._session = _open_session(
            find_graph(artifact, precision),
            _providers(kind, index, precision, cache_dir),
            # A run computes on its caller's thread too: `slots` callers and this pool.
            pool_threads=max(1, threads - self.slots + 1),
        )

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """See `Engine.run`; a session runs concurrent calls by itself."""
        pixels = check_pixels(pixels, self.max_batch)
        try:
            outputs = self._session.run(None, {"pixels": pixels})
        except Exception as error:  # its errors share no base class of their own
            raise EngineError(
                f"ONNX Runtime failed on pixels {pixels.shape}: {one_line(error)}"
            ) from error
        return (None, outputs[0]) if len(outputs) == 1 else (outputs[0], outputs[1])

    def close(self) -> None:
        """See `Engine.close`."""
        del self._session


def _choose_device(device: str) -> tuple[str, int]:
    here = [d for d, p in PROVIDERS.items() if p in onnxruntime.get_available_providers()]
    kind, _, index = device.partition(":")
    if kind == "auto":
        kind = "cuda" if "cuda" in here and _has_cuda() else "cpu"
    if kind not in here or not (index or "0").isdecimal():
        raise EngineUnavailableError(
            f"expected a device of onnxruntime as installed ({', '.join(here)}), got {device}"
        )
    return kind, int(index or 0)


def _has_cuda() -> bool:
    """Whether the driver is here and finds a device; the provider's own list does not say."""
    try:
        return bool(ctypes.CDLL("libcuda.so.1").cuInit(0) == 0)
    except OSError:
        return False


def _providers(
    kind: str, index: int, precision: str, cache_dir: Path | None
) -> list[tuple[str, dict[str, Any]]]:
    """The asked-for provider, then those that take the operators it lacks."""
    # TF32 rounds the products' factors to 10 bits: not what `float32` promises.
    cuda = (PROVIDERS["cuda"], {"device_id": index, "use_tf32": 0})
    if kind == "cpu":
        return [(PROVIDERS["cpu"], {})]
    if kind == "cuda":
        return [cuda]
    options: dict[str, Any] = {
        "device_id": index,
        "trt_fp16_enable": precision == "float16",
        "trt_bf16_enable": precision == "bfloat16",
    }
    if cache_dir is not None:
        options |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(cache_dir)}
    return [(PROVIDERS["tensorrt"], options), cuda]


def _open_session(
    graph: Path, providers: list[tuple[str, dict[str, Any]]], pool_threads: int
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = pool_threads
    options.log_severity_level = FATAL
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # its errors share no base class of their own
        raise EngineError(f"ONNX Runtime could not load {graph}: {one_line(error)}") from error
    asked, used = providers[0][0], session.get_providers()
    if asked not in used:  # it falls back to the CPU with a log line
        raise EngineUnavailableError(f"expected {asked} to start, got {', '.join(used)} instead")
    return session
