"""The page in a real browser (Debian's chromium), in front of a service on fake engines."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from app.main import create_app
from app.settings import Settings
from model.artifact import Artifact
from model.config import ClassInfo, PreprocessingConfig
from model.inference.segmenter import Segmenter
from tests.app.live import serving
from tests.fakes import FakeEngine, fake_artifact, fake_manifest, paint, to_bytes

KEY = "a-key-of-sixteen-letters"
# What a page must show as it stands, and never run.
ODD_NAME = "<img src=x onerror=alert(1)>"
SOON_MS = 15_000

Opened = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("expected the program chromium (Debian's package chromium), got none")
    expect.set_options(timeout=SOON_MS)
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def _crowd() -> FakeEngine:
    """Five cars in overlapping squares, less and less sure, whatever the picture."""
    probabilities = (0.97, 0.8, 0.6, 0.4, 0.2)
    class_logits = np.full((8, 5), -9, np.float32)
    class_logits[:, -1] = 0
    masks = np.full((8, 16, 16), -8, np.float32)
    for query, probability in enumerate(probabilities):
        class_logits[query, 2] = np.log(probability / (1 - probability))
        masks[query, 2 * query : 2 * query + 6, 2 * query : 2 * query + 6] = 8
    return FakeEngine(class_logits=class_logits, mask_logits=masks)


def _segmenters(folder: Path, artifact: Artifact) -> dict[str, Segmenter]:
    named = ClassInfo(name=ODD_NAME, category_id=1, is_thing=False, color=(0, 128, 255))
    small = PreprocessingConfig(shortest_edge_px=32, mean=(0, 0, 0), std=(255, 255, 255))
    odd = fake_artifact(folder / "odd", fake_manifest(classes=[named], preprocessing=small))
    return {
        "fake": Segmenter(artifact, FakeEngine()),
        "crowd": Segmenter(artifact, _crowd()),
        "odd": Segmenter(odd, FakeEngine(num_classes=1)),
    }


@contextmanager
def _served(segmenters: dict[str, Segmenter], **settings: Any) -> Iterator[str]:
    models = tuple(f"{name}={s.artifact.folder}" for name, s in segmenters.items())
    app = create_app(Settings(cpu_threads=2, models=models, **settings), segmenters)
    with serving(app) as address:
        yield f"http://{address}/"


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory, artifact: Artifact) -> Iterator[str]:
    with _served(_segmenters(tmp_path_factory.mktemp("models"), artifact)) as address:
        yield address


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory, artifact: Artifact) -> Iterator[str]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"lab:{KEY}\n", encoding="utf-8")
    with _served({"fake": Segmenter(artifact, FakeEngine())}, api_keys_file=keys) as address:
        yield address


@pytest.fixture(scope="package")
def blocks(artifact: Artifact) -> bytes:
    """64 x 64, four blocks: sky, car / road, person."""
    return to_bytes(paint(artifact, [[0, 2], [1, 3]]))


@pytest.fixture(scope="package")
def tab(browser: Browser) -> Page:
    """For all tests that need no other kind of screen: a new one costs as much as the test."""
    return _new_tab(browser, permissions=["clipboard-read", "clipboard-write"])


def _new_tab(browser: Browser, **options: Any) -> Page:
    usual = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
    page = browser.new_context(**usual | options).new_page()
    page.set_default_timeout(SOON_MS)
    return page


@pytest.fixture
def questions() -> list[str]:
    """The addresses under which the service was asked for segments, in their order."""
    return []


@pytest.fixture
def opened(browser: Browser, tab: Page, address: str, questions: list[str]) -> Iterator[Opened]:
    """Opens the page; at the end no script must have failed and no other host been asked.

    With options it is opened in a tab of its own, which has them.
    """
    problems: list[str] = []
    hosts = [address]

    def asked(request: Request) -> None:
        if not request.url.startswith((*hosts, "blob:")):
            problems.append(f"asked {request.url}")
        if "/segment?" in request.url:
            questions.append(request.url)

    listeners: dict[str, Callable[[Any], None]] = {
        "request": asked,
        "pageerror": lambda error: problems.append(str(error)),
        "console": lambda said: _note(problems, said.text, said.type),
    }

    def open_page(at: str = address, **options: Any) -> Page:
        page = _new_tab(browser, **options) if options else tab
        hosts.append(at)
        for event, listener in listeners.items():
            page.on(event, listener)
        page.goto(at)
        return page

    yield open_page
    for context in browser.contexts:
        if context is not tab.context:
            context.close()
    for event, listener in listeners.items():
        with suppress(KeyError):  # a test may have had a tab of its own
            tab.remove_listener(event, listener)
    tab.unroute_all()
    assert not problems


def _note(problems: list[str], text: str, kind: str) -> None:
    """Keep what the console complains of, but for refusals, which the page shows itself, and the
    reading of pixels, which only tests do."""
    if kind in ("error", "warning") and not text.startswith(("Failed to load", "Canvas2D")):
        problems.append(text)


def give(page: Page, picture: bytes, name: str = "blocks.png") -> None:
    """Choose a file, and wait until its segments are drawn."""
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": picture})
    page.wait_for_selector("#work:not(.unanswered) .answered")


def pixel(page: Page, canvas: str, x: int, y: int) -> list[int]:
    """RGBA of one pixel, once what is due was drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    read = "([id, x, y]) => [...document.getElementById(id).getContext('2d')"
    answer: list[int] = page.evaluate(f"{read}.getImageData(x, y, 1, 1).data]", [canvas, x, y])
    return answer


def shift(page: Page, slider: str, value: float) -> None:
    """Move a slider as a hand would end it."""
    page.locator(f"#{slider}").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        value,
    )
