"""What SageMaker and Vertex AI ask of a container."""

import base64

import pytest
from starlette.testclient import TestClient

from app.settings import load_settings
from model.artifact import Artifact
from tests.app.conftest import HeldEngine, make_app

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def without_time(answer) -> dict:
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name != "timing_ms"}


def test_sagemaker_s_probe_follows_readiness(artifact: Artifact) -> None:
    app = make_app(artifact, HeldEngine())
    with TestClient(app) as client:
        ready = client.get("/ping")
        assert (ready.status_code, ready.content) == (200, b"")
        app.state.service.drain()
        assert client.get("/ping").status_code == 503


def test_an_invocation_is_a_segmentation(client: TestClient, picture: bytes) -> None:
    alone = without_time(client.post("/segment", content=picture))
    assert without_time(client.post("/invocations", content=picture)) == alone
    typed = {"Content-Type": "application/x-image"}
    assert client.post("/invocations", content=picture, headers=typed).status_code == 200
    png = client.post("/invocations", content=picture, headers={"Accept": "image/png"})
    assert png.headers["Content-Type"] == "image/png"


def test_custom_attributes_stand_for_the_query(client: TestClient, picture: bytes) -> None:
    def invoke(attributes: str, query: str = ""):
        headers = {ATTRIBUTES: attributes}
        return client.post(f"/invocations{query}", content=picture, headers=headers)

    expected = without_time(client.post("/segment?mode=semantic&masks=none", content=picture))
    assert without_time(invoke("mode=semantic&masks=none")) == expected
    assert without_time(invoke("mode=semantic", "?masks=none")) == expected
    assert invoke("mode=boxes").status_code == 422
    assert invoke("trace id 17").status_code == 422


@pytest.fixture(scope="module")
def vertex(artifact: Artifact):
    routes = {"vertex_predict_route": "/v1/models/m:predict", "vertex_health_route": "/healthz"}
    with TestClient(make_app(artifact, HeldEngine(), max_queue=2, **routes)) as client:
        yield client


def test_vertex_predicts_in_order(vertex: TestClient, artifact: Artifact, picture: bytes) -> None:
    text = base64.b64encode(picture).decode()
    instances = [{"image": text}, {"image": {"b64": text}}, {"b64": text}] * 2
    body = {"instances": instances, "parameters": {"mode": "instance", "classes": ["car"]}}
    answer = vertex.post("/v1/models/m:predict", json=body)
    assert answer.status_code == 200, answer.text
    alone = without_time(vertex.post("/segment?mode=instance&classes=car", content=picture))
    for prediction in answer.json()["predictions"]:
        del prediction["timing_ms"]
        assert prediction == alone
    assert len(answer.json()["predictions"]) == 6


def test_vertex_s_probe_may_take_over_a_path_of_ours(vertex: TestClient) -> None:
    assert vertex.get("/healthz").content == b""
    assert {"/v1/models/m:predict", "/healthz"} <= set(vertex.get("/openapi.json").json()["paths"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400),
        ({}, 422),
        ({"instances": []}, 422),
        ({"instances": [{"image": "aGk="}] * 33}, 422),
        ({"instances": ["aGk="]}, 422),
        ({"instances": [{"image": 1}]}, 422),
        ({"instances": [{"image": "aGk=", "b64": "aGk="}]}, 422),
        ({"instances": [{"image": "?"}]}, 400),
        ({"instances": [{"image": "aGk="}]}, 415),
        ({"instances": [{"image": "aGk="}], "parameters": [1]}, 422),
        ({"instances": [{"image": "aGk="}], "parameters": {"format": "png"}}, 422),
        ({"instances": [{"image": "aGk="}], "surplus": 1}, 422),
    ],
)
def test_broken_instances_are_refused(vertex: TestClient, body: object, status: int) -> None:
    answer = vertex.post("/v1/models/m:predict", json=body)
    assert answer.status_code == status, answer.text
    assert "expected" in answer.json()["error"]


def test_vertex_s_variables_set_the_routes_behind_ours() -> None:
    environ = {"AIP_HTTP_PORT": "8080", "AIP_PREDICT_ROUTE": "/p", "AIP_HEALTH_ROUTE": "/h"}
    settings = load_settings(environ=environ | {"AIP_MODE": "PREDICTION"})
    assert settings.port == 8080
    assert (settings.vertex_predict_route, settings.vertex_health_route) == ("/p", "/h")
    ours = load_settings(environ=environ | {"MASKFORMER_PORT": "1234"})
    assert ours.port == 1234
    assert load_settings(environ={}).vertex_predict_route is None
