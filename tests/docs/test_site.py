"""The documentation as a site: it builds without a warning, and its own links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_docs_is_there(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 20
    built = [page.with_name("index.md") if page.name == "README.md" else page for page in pages]
    assert not [page for page in built if not (site / page.with_suffix(".html")).is_file()]


def test_links_and_pictures_lead_to_files_of_the_site(site: Path) -> None:
    broken, followed = [], 0
    for page in site.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text(encoding="utf-8")):
            target = unquote(urldefrag(link)[0]).partition("?")[0]
            if not target or re.match(r"[a-z]+:", target):
                continue
            followed += 1
            # The page of errors is the only one that names things from the root.
            start = site if target.startswith("/") else page.parent
            if not (start / target.lstrip("/")).exists():
                broken.append(f"{page.relative_to(site)}: {link}")
    assert followed > 500
    assert not broken


def test_nothing_is_fetched_from_another_host(site: Path) -> None:
    fetched = re.compile(
        r'<(?:script|img|iframe)[^>]*\ssrc="(https?://[^"]+)|<link[^>]*\srel="stylesheet"[^>]*\shref="(https?://[^"]+)'
    )
    found = [
        (page.name, fetched.findall(page.read_text(encoding="utf-8")))
        for page in site.rglob("*.html")
    ]
    assert not [(name, links) for name, links in found if links]
