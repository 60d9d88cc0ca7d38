"""The parts of the OpenAPI description that the framework cannot see in the code."""

from typing import Any

from app.parameters import Parameters
from app.schemas import ErrorAnswer, SegmentationAnswer

_BINARY = {"type": "string", "format": "binary"}
# An 8 x 8 picture of sky and grass, so that the example can be sent as it stands.
_TINY_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAHElEQVR42mOMWvCMARtgYsABSJdg"
    "eXMjjNZ2AABJLAQMxvnB7QAAAABJRU5ErkJggg=="
)


def _fields() -> dict[str, Any]:
    """JSON schemas of all parameters, by name."""
    schema = Parameters.model_json_schema()
    return {name: _plain(field) for name, field in schema["properties"].items()}


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """A field's schema without the `null` that stands for "not given"."""
    kept = [option for option in field["anyOf"] if option.get("type") != "null"]
    return {**kept[0], "description": field["description"]}


def _query() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description", ""),
            "schema": schema,
        }
        for name, schema in _fields().items()
    ]


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": schema,
    }


def _object(image: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["image"],
        "additionalProperties": False,
        "properties": {"image": image} | _fields(),
    }


SEGMENT_REQUEST: dict[str, Any] = {
    "parameters": [
        *_query(),
        _header(
            "X-Request-Timeout-Ms",
            "Time that the caller gives, in milliseconds; the service's own limit caps it.",
            {"type": "integer", "minimum": 1, "maximum": 999_999_999},
        ),
        _header("X-Request-ID", "Comes back with the answer.", {"type": "string"}),
    ],
    "requestBody": {
        "required": True,
        "description": "JPEG, PNG, WebP, BMP, TIFF or GIF, in one of three forms.",
        "content": {
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {"schema": _object(_BINARY)},
            "application/json": {
                "schema": _object({"type": "string", "description": "Base64, or a data URL."}),
                "example": {"image": _TINY_PNG, "masks": "rle"},
            },
        },
    },
}

SEGMENT_RESPONSE: dict[str, Any] = {
    "description": "The segments, in the form that `format` asked for.",
    "model": SegmentationAnswer,
    "content": {"image/png": {"schema": _BINARY}},
}

_OIP_EXAMPLE = {
    "id": "1",
    "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [_TINY_PNG]}],
    "outputs": [{"name": "segments_info"}],
}

OIP_INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "JSON, with pictures in base64; or JSON followed by binary tensors, its "
        "length in the header `Inference-Header-Content-Length`; or a bare picture with 0 there.",
        "content": {
            "application/json": {"schema": {"type": "object"}, "example": _OIP_EXAMPLE},
            "application/octet-stream": {"schema": _BINARY},
        },
    },
}

PROTOCOL_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request is at fault.", "model": ErrorAnswer},
    "5XX": {"description": "The service is at fault, or not ready.", "model": ErrorAnswer},
}

HUGGINGFACE_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
            "application/json": {
                "schema": {"type": "object", "required": ["inputs"]},
                "example": {"inputs": _TINY_PNG, "parameters": {"subtask": "semantic"}},
            },
        },
    },
}

BATCH_REQUEST: dict[str, Any] = {
    "parameters": SEGMENT_REQUEST["parameters"],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _object({"type": "array", "items": _BINARY})}
        },
    },
}

BATCH_RESPONSE: dict[str, Any] = {
    "description": "One JSON object per line: `index` and `file` of the picture, `status`, and "
    "the fields of its answer or error, as `POST /segment` gives them.",
    "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
}

SAGEMAKER_REQUEST: dict[str, Any] = {
    "parameters": [
        *SEGMENT_REQUEST["parameters"],
        _header(
            "X-Amzn-SageMaker-Custom-Attributes",
            "Parameters in the form of a query, such as `mode=semantic&masks=png`.",
            {"type": "string"},
        ),
    ],
    "requestBody": SEGMENT_REQUEST["requestBody"],
}

VERTEX_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["instances"],
                    "properties": {
                        "instances": {"type": "array", "items": {"type": "object"}},
                        "parameters": {"type": "object", "properties": _fields()},
                    },
                },
                "example": {"instances": [{"image": _TINY_PNG}], "parameters": {"masks": "none"}},
            }
        },
    },
}

_LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">'
    '<Label value="car"/></BrushLabels></View>'
)

LABEL_STUDIO_PREDICT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["tasks", "label_config"]},
                "example": {
                    "tasks": [{"id": 1, "data": {"image": f"data:image/png;base64,{_TINY_PNG}"}}],
                    "label_config": _LABEL_CONFIG,
                },
            }
        },
    },
}
