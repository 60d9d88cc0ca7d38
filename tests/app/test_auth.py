"""Who is let in, and under which name."""

import base64
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.http
from fastapi import FastAPI, Request
from huggingface_hub import InferenceClient
from starlette.testclient import TestClient
from tritonclient.http.auth import BasicAuth

from app import api_keys
from app.caller import tenant
from model.artifact import Artifact
from model.errors import InvalidParameterError
from tests.app.conftest import SOON_S, HeldEngine, make_app
from tests.app.live import serving

KEY = "a-key-of-sixteen-letters"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"lab:{KEY}\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def guarded(artifact: Artifact, keys_file: Path) -> Iterator[TestClient]:
    app = make_app(artifact, HeldEngine(), api_keys_file=keys_file, vertex_health_route="/vertex")

    @app.get("/who")
    def who(request: Request) -> list[str]:
        return [request.state.api_key_name, tenant.get()]

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


HEADERS = [
    BEARER,
    {"Authorization": f"bearer  {KEY}"},
    {"X-API-Key": KEY},
    {"X-API-Key": KEY, "Authorization": "Bearer for-the-proxy-before-us"},
    basic("anyone", KEY),
]


@pytest.mark.parametrize("headers", HEADERS)
def test_a_key_opens_and_names_the_caller(guarded: TestClient, headers: dict) -> None:
    assert guarded.get("/who", headers=headers).json() == ["lab", "lab"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": KEY},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY} x"},
        {"Authorization": f"Digest {KEY}"},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic /////w=="},
        basic(KEY, ""),
        {"X-API-Key": "", **BEARER},
        {"X-API-Key": "lab"},
        {"X-API-Key": b"\xff" * 20},
    ],
)
def test_all_else_is_refused_in_the_usual_form(guarded: TestClient, headers: dict) -> None:
    answer = guarded.post("/segment", content=b"x", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="maskformer"'
    assert answer.json()["error_type"] == "api_key_error"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert KEY not in answer.text


def test_every_route_asks_for_a_key_but_those_that_are_open(guarded: TestClient) -> None:
    assert isinstance(guarded.app, FastAPI)
    opened = set()
    for path, operations in guarded.get("/openapi.json", headers=BEARER).json()["paths"].items():
        for method, operation in operations.items():
            answer = guarded.request(method, path.replace("{name}", "fake"))
            assert (answer.status_code == 401) == ("security" in operation), path
            assert ("401" in operation["responses"]) == ("security" in operation)
            if answer.status_code != 401:
                opened.add((method, path))
    health = {"/livez", "/readyz", "/ping", "/vertex", "/label-studio/health"}
    health |= {"/v2/health/live", "/v2/health/ready"}
    assert opened == {("get", path) for path in health | {"/metrics", "/stats"}}
    for path in (
        "/nothing",
        "/docs",
        "/openapi.json",
        "/livez/../models",
        "http://testserver//livez",
        "/v2",
    ):
        assert guarded.get(path).status_code == 401, path
    assert guarded.post("/livez").status_code == 401
    assert guarded.get("/healthz", headers={"X-API-Key": "wrong"}).status_code == 200


def test_the_settings_say_which_routes_are_open(artifact: Artifact, keys_file: Path) -> None:
    for groups, status in (
        ((), [401] * 6),
        (("docs",), [401, 401, 200, 200, 401, 401]),
        (("playground",), [401, 401, 401, 401, 200, 200]),
    ):
        app = make_app(artifact, HeldEngine(), api_keys_file=keys_file, open_routes=groups)
        with TestClient(app) as client:
            page = client.get("/docs", headers=BEARER).text
            script = next(p for p in page.split('"') if p.endswith("ui-bundle.js"))
            paths = ("/livez", "/metrics", "/docs", script, "/", "/playground/main.js")
            assert [client.get(path).status_code for path in paths] == status


def test_without_a_file_nobody_is_asked(artifact: Artifact, picture: bytes) -> None:
    with TestClient(make_app(artifact, HeldEngine())) as client:
        assert client.post("/segment", content=picture, headers=BEARER).status_code == 200
        described = client.get("/openapi.json").json()
    assert "securitySchemes" not in described["components"]


def test_a_new_file_counts_while_the_service_runs(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    path.write_text(f"lab:{KEY}", encoding="utf-8")
    with TestClient(make_app(artifact, HeldEngine(), api_keys_file=path)) as client:
        assert client.get("/models", headers=BEARER).status_code == 200
        path.write_text(f"lab:{KEY[::-1]}-and-more", encoding="utf-8")
        monkeypatch.setattr(api_keys, "_LOOK_AGAIN_S", 0)
        soon_s = time.monotonic() + SOON_S
        while client.get("/models", headers=BEARER).status_code == 200:
            assert time.monotonic() < soon_s


def test_a_broken_file_stops_the_start(artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="No such file"):
        make_app(artifact, HeldEngine(), api_keys_file=tmp_path / "missing")


def test_keys_never_reach_the_log(guarded: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "maskformer"):
        for headers in HEADERS:
            guarded.post("/segment", content=b"x", headers=headers)
    assert caplog.records
    assert KEY not in caplog.text


def test_the_clients_of_other_protocols_can_show_a_key(
    artifact: Artifact, keys_file: Path, picture: bytes
) -> None:
    with serving(make_app(artifact, HeldEngine(), api_keys_file=keys_file)) as address:
        with tritonclient.http.InferenceServerClient(address) as client:
            assert client.is_server_ready()
            assert client.is_model_ready("fake", headers=BEARER)
            assert not client.is_model_ready("fake")
            client.register_plugin(BasicAuth("anyone", KEY))
            assert client.is_model_ready("fake")
        hugging_face = InferenceClient(f"http://{address}/huggingface", token=KEY)
        assert len(hugging_face.image_segmentation(picture)) == 4
