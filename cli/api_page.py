"""The tables in docs/api.md: `python -m cli.api_page` renews them.

Between `<!-- routes Health -->`, or another of the kinds in `_TABLES`, and `<!-- end -->` stands
what the code says; all around is written by hand.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app.errors import TABLE, error_type
from app.main import create_app
from app.settings import Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"

_MARKED = re.compile(r"(<!-- (\w+)(?: ([^>]+))? -->\n).*?(<!-- end -->)", re.S)
_KINDS = {"integer": "whole number", "boolean": "`true`, `false`", "string": "text"}

Schema = dict[str, Any]
Row = Sequence[str]


def describe() -> Schema:
    """The OpenAPI description of a service that has every route."""
    routes = {"vertex_predict_route": "/predict", "vertex_health_route": "/health"}
    return create_app(Settings.model_validate(routes)).openapi()


def renewed(page: str) -> str:
    """The page with the tables as the code has them now; all around stays as it is."""
    schema = describe()

    def table(found: re.Match[str]) -> str:
        begin, kind, what, end = found.groups()
        return f"{begin}{_TABLES[kind](schema, what)}{end}"

    return _MARKED.sub(table, page)


def _routes(schema: Schema, tag: str) -> str:
    """The routes of one tag, with the statuses that they may answer."""
    rows = [
        (f"`{method.upper()} {path}`", operation["summary"], ", ".join(sorted(responses)))
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if tag in operation["tags"] and (responses := operation["responses"])
    ]
    return _table(("route", "what", "statuses"), rows)


def _parameters(schema: Schema, route: str) -> str:
    """What one route reads: query, headers, and the object `parameters` of a JSON body.

    The headers of `POST /segment` are those of every route that answers pictures.
    """
    method, path = route.split()
    operation = schema["paths"][path][method.lower()]
    usual = _headers(schema) if path != "/segment" else ()
    rows = [
        (f"`{one['name']}`", one["in"], _values(one["schema"]), one.get("description", ""))
        for one in operation["parameters"]
        if one["in"] != "path" and one["name"] not in usual
    ]
    body = operation["requestBody"]["content"].get("application/json", {}).get("schema", {})
    inside = body.get("properties", {}).get("parameters", {}).get("properties", {})
    rows += [
        (f"`{name}`", "`parameters`", _values(field), field["description"])
        for name, field in inside.items()
    ]
    return _table(("name", "where", "values", "meaning"), rows)


def _headers(schema: Schema) -> set[str]:
    parameters = schema["paths"]["/segment"]["post"]["parameters"]
    return {one["name"] for one in parameters if one["in"] == "header"}


def _fields(schema: Schema, name: str) -> str:
    """The fields of a JSON answer, those of its parts behind them."""
    return _table(("field", "type", "meaning"), _answer_rows(schema["components"]["schemas"], name))


def _answer_rows(schemas: Schema, name: str, prefix: str = "") -> Iterator[Row]:
    for field, form in schemas[name]["properties"].items():
        yield f"`{prefix}{field}`", _type(form), form.get("description", "")
        for nested in re.findall(r"#/components/schemas/(\w+)", str(form)):
            if "properties" in schemas[nested]:
                dots = f"{prefix}{field}[]." if "array" in str(form) else f"{prefix}{field}."
                yield from _answer_rows(schemas, nested, dots)


def _errors(_schema: Schema, _what: str) -> str:
    """All kinds of errors."""
    rows = [
        (str(row.status), f"`{error_type(cls)}`", (cls.__doc__ or "").splitlines()[0])
        for cls, row in TABLE.items()
    ]
    return _table(("status", "`error_type`", "when"), rows)


_TABLES: dict[str, Callable[[Schema, str], str]] = {
    "routes": _routes,
    "parameters": _parameters,
    "fields": _fields,
    "errors": _errors,
}


def _values(schema: Schema) -> str:
    """What a parameter takes, in words."""
    if "anyOf" in schema:
        return " or ".join(map(_values, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"{_values(schema['items'])}, repeated"
    kind: str = schema["type"]
    words = [_KINDS.get(kind, kind)]
    for key, word in (
        ("minimum", "from"),
        ("exclusiveMinimum", "above"),
        ("maximum", "to"),
        ("exclusiveMaximum", "below"),
    ):
        words += [f"{word} {schema[key]:g}"] if key in schema and schema[key] < 10**8 else []
    return " ".join(words)


def _type(schema: Schema) -> str:
    """A JSON type, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "$ref" in schema:
        return "object"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] != "array":
        return str(schema["type"])
    items = schema.get("prefixItems") or [schema["items"]]
    size = f"{len(items)} " if "prefixItems" in schema else ""
    return f"list of {size}{_type(items[0])}"


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    text = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {line} |\n" for line in text)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
