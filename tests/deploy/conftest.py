"""A service under load that a real Prometheus scrapes, with the files of docker-compose.yml."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from model.artifact import Artifact
from model.inference.segmenter import Segmenter
from tests.app.conftest import SOON_S, HeldEngine, artifact, picture
from tests.app.live import serving
from tests.deploy.ask import scraped_s, until
from tests.deploy.programs import ALERTS, ROOT, need
from tests.fakes import to_bytes

__all__ = ["artifact", "picture"]


class OnDevice(HeldEngine):
    """Tells of an accelerator's memory, as an engine on a GPU does."""

    device_memory_bytes = {"allocated": 2**20, "reserved": 2**21, "total": 2**22}


@pytest.fixture(scope="session")
def engine() -> OnDevice:
    return OnDevice(delay_s=0.002)


def two_models(artifact: Artifact, engine: OnDevice) -> FastAPI:
    """An app that holds one picture back at most, and lets callers unload its second model."""
    models = {"fake": engine, "other": HeldEngine()}
    settings = Settings(
        models=tuple(f"{name}={artifact.folder}" for name in models),
        max_queue=1,
        cpu_threads=2,
        allow_model_control=True,
    )
    return create_app(settings, {n: Segmenter(artifact, e) for n, e in models.items()})


@pytest.fixture(scope="session")
def address(artifact: Artifact, engine: OnDevice) -> Iterator[str]:
    with serving(two_models(artifact, engine)) as address:
        yield address


def put_under_load(address: str, engine: OnDevice, picture: bytes) -> None:
    """Answers in two modes and two routes, and a failure of every kind that a load can cause."""
    white = to_bytes(np.full((32, 32, 3), 255, np.uint8))
    with httpx.Client(base_url=f"http://{address}", timeout=SOON_S) as caller:
        ask = [
            *[({"content": picture}, "panoptic")] * 5,
            ({"content": picture}, "semantic"),
            ({"content": b"hello"}, "panoptic"),
            ({"content": picture}, "nonsense"),
            ({"content": white}, "panoptic"),
            ({"content": picture, "headers": {"X-Request-Timeout-Ms": "1"}}, "panoptic"),
        ]
        codes = [caller.post(f"/segment?mode={mode}", **body).status_code for body, mode in ask]
        assert codes == [*[200] * 6, 415, 422, 500, 504]
        both = [("image", ("a.png", picture)), ("image", ("b.png", picture))]
        caller.post("/segment/batch", files=both).raise_for_status()
        assert caller.get("/nothing").status_code == 404
        engine.open.clear()
        with ThreadPoolExecutor(8) as callers:
            asked = [callers.submit(caller.post, "/segment", content=picture) for _ in range(8)]
            until(lambda: sum(one.done() for one in asked) >= 5)
            engine.open.set()
            codes = sorted(one.result().status_code for one in asked)
        assert codes[0] == 200
        assert codes[-1] == 429


@pytest.fixture(scope="session")
def configuration(address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of docker-compose.yml, faster, and with an address where Docker's names are unknown."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(ALERTS, folder)
    text = (
        (ROOT / "docker" / "prometheus.yml")
        .read_text(encoding="utf-8")
        .replace("_interval: 5s", "_interval: 500ms")
    )
    config = yaml.safe_load(text)
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    where = {"namespace": "maskformer", "pod": "maskformer-0"}  # as a ServiceMonitor adds them
    job["static_configs"] = [{"targets": [address], "labels": where}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def wait_for_scrapes(server: str) -> None:
    """Until it has scraped what happened so far, and the rules have seen that."""
    now_s = time.time()
    until(lambda: scraped_s(server) > now_s + 1)


@pytest.fixture(scope="session")
def prometheus(
    configuration: Path, address: str, engine: OnDevice, picture: bytes
) -> Iterator[str]:
    """A Prometheus that has scraped the service before, during and after a load."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        need("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={configuration.parent / 'data'}",
        f"--web.listen-address={own}",
    ]
    with (configuration.parent / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    server = f"http://{own}"
    try:
        until(lambda: scraped_s(server) > 0)
        for _ in range(2):  # a counter that is new in one scrape has a rate from the next one on
            put_under_load(address, engine, picture)
            wait_for_scrapes(server)
        httpx.post(f"http://{address}/models/other/unload").raise_for_status()
        wait_for_scrapes(server)
        yield server
    finally:
        process.terminate()
        process.wait(SOON_S)
