"""The table of settings in docs/configuration.md: `python -m cli.configuration` renews it."""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from app.settings import Settings, flag_of, variable_of

_ROOT = Path(__file__).resolve().parents[1]
PAGE = _ROOT / "docs" / "configuration.md"

_HEAD = "| variable and flag | values | default | meaning |\n|---|---|---|---|\n"
_KINDS = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`"}


def renewed(page: str) -> str:
    """The page with the table as the code has it now; all around stays as it is."""
    before, _, rest = page.partition(_HEAD)
    _, _, after = rest.partition("\n\n")
    schema = Settings.model_json_schema()["properties"]
    rows = [_row(name, field, schema[name]) for name, field in Settings.model_fields.items()]
    return before + _HEAD + "\n".join(rows) + "\n\n" + after


def _row(name: str, field: FieldInfo, schema: dict[str, Any]) -> str:
    names = f"`{variable_of(name)}`<br>`{flag_of(name)}`"
    cells = (names, _values(schema), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(schema: dict[str, Any]) -> str:
    """What a field takes, in words."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return _values(one)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"{_values(schema['items'])}, comma separated"
    words = [_KINDS.get(schema["type"], schema.get("format", "text"))]
    words += [f"from {schema['minimum']}"] if "minimum" in schema else []
    words += [f"to {schema['maximum']}"] if "maximum" in schema else []
    return " ".join(words)


def _default(field: FieldInfo) -> str:
    """The same on every machine."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Path):
        if value.is_relative_to(_ROOT):
            return f"`{value.relative_to(_ROOT)}` of the installation"
        return f"`{value}`".replace(str(Path.home()), "~")
    if field.default_factory is not None:
        return "depends on the machine"
    if value in (None, ()):
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
