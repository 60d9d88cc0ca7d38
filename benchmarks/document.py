"""Write measured tables into `docs/performance.md`, between its markers.

    python -m benchmarks.document [--results FOLDER] [--page FILE]

`<!-- table encode/answers -->` to `<!-- end -->` holds the table `answers` of `encode.json`, and
`<!-- machine encode -->` where and with what it was measured. A marker whose result is not there
stays as it is and is named.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from benchmarks._report import RESULTS, ROOT, markdown

PAGE = ROOT / "docs" / "performance.md"
_MARKED = re.compile(r"(<!-- (table|machine) ([^\n]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_ABOUT = ("cpu", "cpu_flags", "cores", "memory_gib", "load_average", "system", "python", "commit")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    text, missing = fill(arguments.page.read_text(encoding="utf-8"), arguments.results)
    arguments.page.write_text(text, encoding="utf-8")
    for what in missing:
        print(f"left as it was: {what}")


def fill(text: str, results: Path) -> tuple[str, list[str]]:
    """Replace what stands between markers.

    Returns:
        the new text, and the markers for which there is no result.
    """
    missing: list[str] = []

    def replace(found: re.Match[str]) -> str:
        begin, kind, what, end = found.groups()
        content = table(results, what) if kind == "table" else machine(results, what)
        if content is None:
            missing.append(what)
            return found.group(0)
        return f"{begin}\n{content}\n\n{end}"

    return _MARKED.sub(replace, text), missing


def table(results: Path, what: str) -> str | None:
    """The table `name/title`, `None` where there is none."""
    name, _, title = what.partition("/")
    content = _read(results, name)
    tables = content and content["tables"]
    return markdown(tables[title]) if tables and title in tables else None


def machine(results: Path, name: str) -> str | None:
    """One sentence: processor, versions, settings, commit."""
    content = _read(results, name)
    if content is None:
        return None
    about = content["machine"]
    versions = ", ".join(f"{key} {value}" for key, value in about.items() if key not in _ABOUT)
    named = ", ".join(f"{key.replace('_', ' ')} {about[key]}" for key in _ABOUT if key in about)
    return f"Measured on: {named}. Versions: {versions}."


def _read(results: Path, name: str) -> dict[str, Any] | None:
    path = results / f"{name}.json"
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
