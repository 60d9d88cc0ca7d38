"""Probes, models, metrics, and what the API says of itself."""

import base64
import json
import re

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app import errors
from app.parameters import Parameters
from model import errors as model_errors
from model.artifact import Artifact
from tests.app.conftest import HeldEngine, make_app


def samples(client: TestClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_probes(client: TestClient) -> None:
    assert client.get("/livez").json() == client.get("/healthz").json() == {"status": "live"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_model_tells_what_it_knows_and_how_it_runs(
    client: TestClient, artifact: Artifact
) -> None:
    (model,) = client.get("/models").json()["models"]
    manifest = artifact.manifest
    assert (model["name"], model["hash"], model["is_default"]) == ("fake", artifact.hash, True)
    assert model["modes"] == list(manifest.modes)
    assert [entry["name"] for entry in model["classes"]] == ["sky", "road", "car", "person"]
    assert model["classes"][2] == {
        "name": "car",
        "category_id": 30,
        "is_thing": True,
        "color": [255, 0, 0],
    }
    assert (model["engine"], model["device"], model["precision"]) == ("fake", "CPU", "float32")
    assert (model["slots"], model["max_batch"]) == (1, 4)
    assert model["thresholds"]["mask_threshold"] == manifest.postprocessing.mask_threshold
    assert model["licence"] == "CC0-1.0"


def test_metrics_count_what_happened(artifact: Artifact, picture: bytes) -> None:
    with TestClient(make_app(artifact, HeldEngine())) as client:
        for mode in ("panoptic", "panoptic", "semantic"):
            client.post(f"/segment?mode={mode}", content=picture)
        client.post("/segment", content=b"hello")
        client.get("/nothing")
        got = samples(client)

        def value(name: str, **labels: str) -> float:
            return got[f"maskformer_{name}", tuple(sorted(labels.items()))]

        assert value("requests_total", route="/segment", mode="panoptic", code="200") == 2
        assert value("requests_total", route="/segment", mode="semantic", code="200") == 1
        assert value("requests_total", route="/segment", mode="", code="415") == 1
        assert value("requests_total", route="unmatched", mode="", code="404") == 1
        assert value("request_failures_total", reason="decode") == 1
        assert value("request_failures_total", reason="validation") == 1
        assert value("request_duration_seconds_count", route="/segment") == 4
        for stage in ("prepare", "queue", "inference", "postprocess", "encode"):
            assert value(f"{stage}_duration_seconds_count", model="fake") == 3
        assert value("queue_size", model="fake") == 0
        assert value("inflight_requests") == 1  # the one that asks
        warm_up = 1
        assert value("batch_size_count", model="fake") == 3 + warm_up
        assert value("batch_release_total", model="fake", reason="idle") == 3 + warm_up
        assert value("model_ready", model="fake", hash=artifact.hash) == 1
        assert [name for name, _ in got if name == "maskformer_build_info"]


def test_every_error_class_has_a_row_and_its_own_name() -> None:
    family = [cls for cls in vars(errors).values() if isinstance(cls, type)]
    raised = [cls for cls in family if issubclass(cls, errors.ServiceError)]
    assert set(raised) - set(errors.TABLE) == {errors.ServiceError}
    names = [errors.error_type(cls) for cls in errors.TABLE]
    assert len(set(names)) == len(names)
    assert errors.error_type(errors.DeadlineExceededError) == "deadline_exceeded_error"


def test_an_error_without_a_row_takes_that_of_its_family() -> None:
    assert errors.row_of(model_errors.EngineUnavailableError("")).status == 500
    assert errors.row_of(KeyError("")).status == 500
    hidden = errors.public_error(model_errors.ArtifactError("/secret/path"))
    assert isinstance(hidden, errors.InternalError)


@pytest.fixture(scope="module")
def described(client: TestClient) -> dict:
    return client.get("/openapi.json").json()


def test_the_docs_page_loads_from_the_service_alone(client: TestClient) -> None:
    page = client.get("/docs").text
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert addresses
    for address in addresses:
        assert address.startswith("/"), address
        assert client.get(address).status_code == 200


def test_openapi_describes_every_route(client: TestClient, described: dict) -> None:
    protocols = ("/v2", "/huggingface", "/ping", "/invocations", "/label-studio")
    own = {path for path in described["paths"] if not path.startswith(protocols)}
    assert own == {"/segment", "/segment/batch", "/models", "/livez", "/readyz", "/metrics"}
    assert client.get("/docs").status_code == 200
    assert isinstance(client.app, FastAPI)


def test_openapi_lists_the_statuses_of_the_table(described: dict) -> None:
    responses = described["paths"]["/segment"]["post"]["responses"]
    assert set(responses) == set(map(str, (200, 400, 404, 413, 415, 422, 429, 500, 503, 504)))
    for cls, row in errors.TABLE.items():
        if str(row.status) in responses and cls is not errors.RouteNotFoundError:
            assert f"`{errors.error_type(cls)}`" in responses[str(row.status)]["description"]
    assert set(responses["200"]["content"]) == {"application/json", "image/png"}


def test_openapi_names_all_parameters_in_query_form_and_json(described: dict) -> None:
    operation = described["paths"]["/segment"]["post"]
    query = {entry["name"] for entry in operation["parameters"] if entry["in"] == "query"}
    assert query == set(Parameters.model_fields)
    content = operation["requestBody"]["content"]
    for kind in ("multipart/form-data", "application/json"):
        assert set(content[kind]["schema"]["properties"]) == query | {"image"}
    assert set(content) >= {"image/*", "application/octet-stream"}


def test_every_reference_in_openapi_leads_somewhere(described: dict) -> None:
    references = set(re.findall(r'"\$ref": ?"#/components/schemas/(\w+)"', json.dumps(described)))
    assert references
    assert references <= set(described["components"]["schemas"])


def test_the_example_of_openapi_can_be_sent(client: TestClient, described: dict) -> None:
    content = described["paths"]["/segment"]["post"]["requestBody"]["content"]
    example = content["application/json"]["example"]
    assert base64.b64decode(example["image"])
    answer = client.post("/segment", json=example)
    assert answer.status_code == 200, answer.text


def test_the_examples_of_every_protocol_can_be_sent(client: TestClient, described: dict) -> None:
    sent = set()
    for path, operations in described["paths"].items():
        body = operations.get("post", {}).get("requestBody", {})
        example = body.get("content", {}).get("application/json", {}).get("example")
        if example is not None:
            answer = client.post(path.replace("{name}", "fake"), json=example)
            assert answer.status_code == 200, (path, answer.text)
            sent.add(path.split("/")[1])
    assert sent == {"segment", "v2", "huggingface", "label-studio", "invocations"}
