"""Small schemas of ours, for what has no validator here: only the fields that we use."""

from pathlib import Path
from typing import Any

import jsonschema
import yaml

_FOLDER = Path(__file__).parent


def has_schema(name: str) -> bool:
    return (_FOLDER / f"{name}.yaml").is_file()


def check(name: str, document: Any) -> None:
    """Raise `jsonschema.ValidationError` where the document has another form."""
    schema = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
