"""Vertex AI's prediction requests: pictures as JSON instances, answers as JSON predictions."""

from collections.abc import Sequence
from typing import Any

from app.body import field_pairs, from_base64, read_object
from app.many import check_count
from app.parameters import Parameters, read_parameters
from model.errors import InvalidParameterError


def read_instances(body: bytes, max_pictures: int) -> tuple[list[bytes], Parameters]:
    """The encoded pictures and what is asked for.

    Args:
        body: `{"instances": [...], "parameters": {...}}`; an instance is `{"image": BASE64}`, or
            has `{"b64": BASE64}` in that place, as Google's tools write bytes.
        max_pictures: the longest list.

    Raises:
        MalformedRequestError: not JSON, or not base64.
        InvalidParameterError: another form, or a wrong parameter.
    """
    value = read_object(body)
    instances, parameters = value.pop("instances", None), value.pop("parameters", None) or {}
    if value or not isinstance(instances, list) or not isinstance(parameters, dict):
        raise InvalidParameterError(
            "expected `instances` as a list, beside it at most `parameters` as an object"
        )
    check_count(len(instances), max_pictures)
    fields = [pair for item in parameters.items() for pair in field_pairs(*item)]
    read = read_parameters([], fields)
    if read.format not in (None, "json"):
        raise InvalidParameterError(f"expected format=json for predictions, got {read.format}")
    return [from_base64(_text(instance)) for instance in instances], read


def write_predictions(answers: Sequence[bytes]) -> bytes:
    """Join JSON answers, in the order of the instances."""
    return b'{"predictions": [' + b", ".join(answers) + b"]}"


def _text(instance: Any) -> str:
    """The base64 of one instance."""
    match instance:
        case {"image": {"b64": str(text)}} | {"image": str(text)} | {"b64": str(text)}:
            if len(instance) == 1:
                return text
    raise InvalidParameterError(
        'expected every instance as {"image": BASE64} or {"image": {"b64": BASE64}}, got another'
    )
