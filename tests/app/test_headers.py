import pytest
from starlette.testclient import TestClient

from model.artifact import Artifact
from tests.app.conftest import HeldEngine, make_app

PATHS = ("/livez", "/metrics", "/nothing", "/v2", "/docs", "/redoc", "/openapi.json")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_kept_from_guesses_caches_and_frames(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert policy.startswith("default-src 'none'")
    assert ("unsafe-inline" in policy) == (path in ("/docs", "/redoc"))
    assert "http" not in policy
    assert headers.get_list("X-Content-Type-Options") == ["nosniff"]


def test_answers_and_refusals_have_them_too(client: TestClient, picture: bytes) -> None:
    for answer in (client.post("/segment", content=picture), client.post("/segment")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_scripts_of_the_docs_may_be_kept(client: TestClient) -> None:
    page = client.get("/docs").text
    script = next(part for part in page.split('"') if part.endswith("ui-bundle.js"))
    assert "Cache-Control" not in client.get(script).headers


def test_no_answer_tells_what_serves(artifact: Artifact) -> None:
    from app.settings import Settings
    from cli.server import DrainingServer

    server = DrainingServer(Settings(), make_app(artifact, HeldEngine()), lambda: None)
    assert not server.config.server_header


PAGE = {"Origin": "https://example.com"}
ASKING = PAGE | {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
}


def test_no_other_page_may_call_unless_its_origin_is_named(
    client: TestClient, artifact: Artifact
) -> None:
    assert "Access-Control-Allow-Origin" not in client.get("/livez", headers=PAGE).headers
    assert client.options("/segment", headers=ASKING).status_code == 405
    app = make_app(artifact, HeldEngine(), cors_origins=("https://example.com",))
    with TestClient(app) as open_client:
        for answer in (
            open_client.options("/segment", headers=ASKING),
            open_client.get("/livez", headers=PAGE),
            open_client.post("/segment", content=b"", headers=PAGE),  # refusals are readable too
        ):
            assert answer.headers["Access-Control-Allow-Origin"] == "https://example.com"
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        other = open_client.get("/livez", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in other.headers


def test_a_page_need_not_have_a_key_to_ask_whether_it_may_call(
    artifact: Artifact, tmp_path
) -> None:
    (tmp_path / "keys").write_text("lab:a-key-of-sixteen-letters", encoding="utf-8")
    settings = {"api_keys_file": tmp_path / "keys", "cors_origins": ("*",)}
    with TestClient(make_app(artifact, HeldEngine(), **settings)) as client:
        assert client.options("/segment", headers=ASKING).status_code == 200
        refused = client.post("/segment", headers=PAGE)
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == "*"
