"""What the site has beyond docs/: files of the repository that pages link to come along.

A page's links are those of the repository, so that it reads the same there, for example
`../deploy/README.md`. Here the linked file becomes a page or a file of the site, at its path in the
repository, and the link leads to it. A link to nothing fails the strict build.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PLOTS = "benchmarks/results/"  # made by measuring; without them their place says so

_LINK = re.compile(r"(?P<mark>!?)\[(?P<words>[^\]]*)\]\((?P<to>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.M | re.S)


def on_config(config: MkDocsConfig) -> None:
    """Let a pattern in the navigation stand for all pages that it matches."""
    config.nav = _spelt_out(config.nav)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that the navigation names outside docs/, and all that is linked from pages."""
    for place in _places(config.nav):
        if files.get_file_from_path(place) is None and (ROOT / place).is_file():
            files.append(_file(config, place, InclusionLevel.INCLUDED))
    waiting = list(files.documentation_pages())
    while waiting:
        page = waiting.pop()
        text = Path(page.abs_src_path or "").read_text(encoding="utf-8")
        for found in _LINK.finditer(_CODE.sub("", text)):
            place = _place(page.src_uri, found["to"])
            if place and (ROOT / place).is_file() and files.get_file_from_path(place) is None:
                files.append(_file(config, place, InclusionLevel.NOT_IN_NAV))
                if place.endswith(".md"):
                    waiting.append(files.src_uris[place])
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn the repository's links into the site's."""

    def turned(found: re.Match[str]) -> str:
        place = _place(page.file.src_uri, found["to"])
        if place is None:
            return found[0]
        if found["mark"] and place.startswith(PLOTS) and not (ROOT / place).is_file():
            return (
                f"*{found['words']}: not measured yet; the program that draws it is named above.*"
            )
        to = os.path.relpath(place, PurePosixPath(page.file.src_uri).parent)
        return f"{found['mark']}[{found['words']}]({to}{found['anchor'] or ''})"

    parts = _CODE.split(markdown)
    return "".join(_LINK.sub(turned, part) if i % 2 == 0 else part for i, part in enumerate(parts))


def _place(src_uri: str, to: str) -> str | None:
    """Where in the site a page's relative link leads; None for other links."""
    if not to or ":" in to or to.startswith("/"):
        return None
    page = src_uri if not (ROOT / "docs" / src_uri).is_file() else f"docs/{src_uri}"
    target = os.path.normpath(PurePosixPath(page).parent / to)
    return target.removeprefix("docs/")


def _places(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [place for item in (nav.values() if isinstance(nav, dict) else nav or [])
            for place in _places(item)]  # fmt: skip


def _spelt_out(nav: Any) -> Any:
    if isinstance(nav, dict):
        return {name: _spelt_out(item) for name, item in nav.items()}
    if not isinstance(nav, list):
        return nav
    docs, items = ROOT / "docs", []
    for item in nav:
        if isinstance(item, str) and "*" in item:
            items += sorted(str(path.relative_to(docs)) for path in docs.glob(item))
        else:
            items.append(_spelt_out(item))
    return items


def _file(config: MkDocsConfig, place: str, inclusion: InclusionLevel) -> File:
    return File.generated(config, place, abs_src_path=str(ROOT / place), inclusion=inclusion)
