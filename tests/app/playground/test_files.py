"""The files of the page over HTTP."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import app.api

FOLDER = Path(app.api.__path__[0]).parent / "playground"


def test_the_page_and_all_that_it_asks_for_are_there(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    files = set(re.findall(r'(?:src|href)="(playground/[^"]+)"', page.text))
    for script in FOLDER.glob("*.js"):
        imports = re.findall(
            r'(?:from|URL\() ?"(?:\./)?([\w-]+\.js)"', script.read_text(encoding="utf-8")
        )
        files |= {f"playground/{name}" for name in imports}
    assert len(files) > 15
    for name in files:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200, name
        assert answer.content == (FOLDER.parent / name).read_bytes()
    assert client.get("/playground/samples/street.webp").headers["Content-Type"] == "image/webp"


def test_nothing_runs_that_is_not_a_file_of_its_own(client: TestClient) -> None:
    for path in ("/", "/playground/main.js", "/playground/worker.js", "/playground/icon.svg"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
    page = client.get("/").text
    assert not re.search(r"<script(?! type=\"module\" src=)|<style|\sstyle=|\son\w+=", page)
    scripts = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", scripts)
    assert "https://" not in scripts + page


@pytest.mark.parametrize(
    "name", ["", "nothing.js", "../main.py", "..%2fmain.py", "samples", "%2fetc%2fpasswd", "a/../b"]
)
def test_no_other_file_is_given(client: TestClient, name: str) -> None:
    answer = client.get(f"/playground/{name}")
    assert answer.status_code == 404
    assert answer.json()["error_type"] == "route_not_found_error"
    assert client.post("/").status_code == 405
