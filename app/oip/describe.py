"""What the server says of itself and its models under the Open Inference Protocol."""

from typing import Any

from app.metrics import Metrics, package_version
from app.oip.infer import VERSION
from app.oip.outputs import offered
from app.served_model import ServedModel

_EXTENSIONS = ("binary_tensor_data", "model_repository", "model_configuration", "statistics")
# An image in bytes may also come as UINT8 [N, height, width, 3]; metadata has one line per input.
_INPUT = {"name": "image", "datatype": "BYTES", "shape": [-1]}
_TYPES = {"BYTES": "TYPE_STRING", "UINT16": "TYPE_UINT16", "INT32": "TYPE_INT32"}

# Triton's name of a duration -> our stages.
_DURATIONS = {
    "success": ("prepare", "queue", "inference", "postprocess", "encode"),
    "queue": ("queue",),
    "compute_input": ("prepare",),
    "compute_infer": ("inference",),
    "compute_output": ("postprocess", "encode"),
}


def describe_server() -> dict[str, Any]:
    """Name, version and extensions."""
    return {
        "name": "maskformer-serving",
        "version": package_version(),
        "extensions": list(_EXTENSIONS),
    }


def describe_tensors(model: ServedModel) -> dict[str, Any]:
    """The model's inputs and outputs; -1 is a size that follows from the request."""
    outputs = offered(model.segmenter.artifact.manifest)
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": _platform(model),
        "inputs": [_INPUT],
        "outputs": [{"name": name, **kind} for name, kind in outputs.items()],
    }


def describe_config(model: ServedModel) -> dict[str, Any]:
    """The model as Triton's configuration has it; 0 as batch size: every shape is written whole."""
    tensors = describe_tensors(model)
    return {
        "name": model.name,
        "platform": _platform(model),
        "backend": model.segmenter.engine.name,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 0,
        "input": [_config(tensor) for tensor in tensors["inputs"]],
        "output": [_config(tensor) for tensor in tensors["outputs"]],
    }


def describe_statistics(model: ServedModel, metrics: Metrics) -> dict[str, Any]:
    """Counts and nanoseconds since the start; the warm-up counts as an execution only.

    Batches are shared by requests, so the time of an execution counts for each picture in it.
    """

    def value(name: str) -> float:
        return metrics.value(name, model.name)

    durations = {
        name: {
            "count": int(value(f"{stages[0]}_duration_seconds_count")),
            "ns": _ns(sum(value(f"{stage}_duration_seconds_sum") for stage in stages)),
        }
        for name, stages in _DURATIONS.items()
    }
    durations["fail"] = {
        "count": int(value("failed_picture_duration_seconds_count")),
        "ns": _ns(value("failed_picture_duration_seconds_sum")),
    }
    return {
        "name": model.name,
        "version": VERSION,
        "last_inference": int(1000 * value("last_answer_timestamp_seconds")),
        "inference_count": int(value("batch_size_sum")),
        "execution_count": int(value("batch_size_count")),
        "inference_stats": durations,
        "batch_stats": [],
    }


def _platform(model: ServedModel) -> str:
    return f"maskformer_{model.segmenter.engine.name}"


def _config(tensor: dict[str, Any]) -> dict[str, Any]:
    kind = _TYPES.get(tensor["datatype"], "TYPE_FP32")
    return {"name": tensor["name"], "data_type": kind, "dims": tensor["shape"]}


def _ns(seconds: float) -> int:
    return round(1e9 * seconds)
