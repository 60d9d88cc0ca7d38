"""A Label Studio backend: what its server sends, and masks that its converter reads."""

import asyncio
import base64
from pathlib import Path

import httpx
import numpy as np
import pytest
import requests
import requests.auth
from starlette.testclient import TestClient

from model.artifact import Artifact
from model.inference.segmenter import Segmenter
from tests.app.conftest import HeldEngine, make_app, running
from tests.app.live import serving
from tests.fakes import paint, to_bytes
from tests.model.inference.test_brush import mask_of

CONFIG = """
<View>
  <Image name="photo" value="$picture" zoom="true"/>
  <BrushLabels name="brush" toName="photo">
    <Label value="Car" background="red"/>
    <Label value="Ground" predicted_values="road, grass"/>
    <Label value="Dog"/>
  </BrushLabels>
</View>
"""


def task(id_: int, image: str) -> dict:
    return {"id": id_, "data": {"picture": image}}


def inline(picture: bytes, head: str = "data:image/png;base64,") -> str:
    return head + base64.b64encode(picture).decode()


def predict_request(*tasks: dict, config: object = CONFIG) -> dict:
    return {
        "tasks": list(tasks),
        "label_config": config,
        "project": "1.1700000000",
        "params": {"login": None, "password": None, "context": None},
    }


def test_health_setup_and_webhook(client: TestClient, artifact: Artifact) -> None:
    for path in ("", "/", "/health"):
        answer = client.get(f"/label-studio{path}")
        assert answer.json() == {"status": "UP", "model_class": "MaskFormer"}
    body = {
        "project": "1.1700000000",
        "schema": CONFIG,
        "hostname": "http://localhost:8080",
        "access_token": "secret",
        "extra_params": None,
    }
    setup = client.post("/label-studio/setup", json=body)
    assert setup.json() == {"model_version": artifact.hash}
    assert client.get("/label-studio/versions").json() == {"versions": [artifact.hash]}
    event = client.post("/label-studio/webhook", json={"action": "ANNOTATION_CREATED"})
    assert event.status_code == 201


def test_predictions_are_masks_under_the_project_s_labels(
    client: TestClient, artifact: Artifact, picture: bytes
) -> None:
    wide = to_bytes(paint(artifact, [[2, 2, 0], [0, 0, 0]]))
    sent = predict_request(task(7, inline(picture)), task(8, inline(wide, "")))
    answer = client.post("/label-studio/predict", json=sent)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["results"]
    assert first["model_version"] == artifact.hash
    assert 0.9 < first["score"] <= 1
    by_label = {item["value"]["brushlabels"][0]: item for item in first["result"]}
    assert set(by_label) == {"Car", "Ground"}
    expected = Segmenter(artifact, HeldEngine()).segment(picture)
    for label, class_index in (("Car", 2), ("Ground", 1)):
        item = by_label[label]
        assert (item["type"], item["from_name"], item["to_name"]) == (
            "brushlabels",
            "brush",
            "photo",
        )
        assert (item["original_width"], item["original_height"]) == (64, 64)
        assert item["value"]["format"] == "rle"
        (segment,) = [s for s in expected.segments if s.class_index == class_index]
        mask = mask_of(item["value"]["rle"], (64, 64))
        assert (mask == (expected.id_map == segment.id)).all()
    (car,) = second["result"]
    expected = Segmenter(artifact, HeldEngine()).segment(wide)
    (segment,) = [s for s in expected.segments if s.class_index == 2]
    assert (mask_of(car["value"]["rle"], (64, 96)) == (expected.id_map == segment.id)).all()
    ids = [item["id"] for result in (first, second) for item in result["result"]]
    assert len(set(ids)) == 3


def test_a_key_comes_as_label_studio_sends_it(
    artifact: Artifact, picture: bytes, tmp_path: Path
) -> None:
    """Label Studio 1.23 knows HTTP Basic alone, and sends it only with a user and a password.

    It asks `requests` for it, at the addresses that it joins to the one of the connection.
    """
    (tmp_path / "keys").write_text("annotators:a-key-of-sixteen-letters", encoding="utf-8")
    app = make_app(artifact, HeldEngine(), api_keys_file=tmp_path / "keys")
    with serving(app) as address, requests.Session() as studio:
        url = f"http://{address}/label-studio/"

        def ask(password: str) -> list[int]:
            studio.auth = requests.auth.HTTPBasicAuth("maskformer", password)
            answers = [
                studio.get(f"{url}health", timeout=(1, 1)),
                studio.post(f"{url}setup", json={"schema": CONFIG}),
                studio.post(f"{url}predict", json=predict_request(task(1, inline(picture)))),
                studio.get(f"{url}versions", json={"project": "1.1700000000"}),
                studio.post(f"{url}webhook", json={"action": "START_TRAINING"}),
            ]
            return [answer.status_code for answer in answers]

        assert ask("a-key-of-sixteen-letters") == [200, 200, 200, 200, 201]
        assert ask("another-key-of-the-world") == [200, 401, 401, 401, 401]


def test_attributes_of_the_tag_are_parameters(client: TestClient, picture: bytes) -> None:
    def ask(attributes: str) -> httpx.Response:
        config = CONFIG.replace("<BrushLabels", f"<BrushLabels {attributes}")
        sent = predict_request(task(1, inline(picture)), config=config)
        return client.post("/label-studio/predict", json=sent)

    (prediction,) = ask('model_mode="semantic" rows="3"').json()["results"]
    assert len(prediction["result"]) == 2
    assert "score" not in prediction
    (prediction,) = ask('model_score_threshold="1"').json()["results"]
    assert prediction["result"] == []
    refused = ask('model_tile="7"')
    assert (refused.status_code, "from 64 on" in refused.json()["error"]) == (422, True)


def test_a_broken_picture_gets_an_empty_prediction(client, artifact, picture) -> None:
    sent = predict_request(task(1, inline(b"hello")), task(2, inline(picture)))
    broken, whole = client.post("/label-studio/predict", json=sent).json()["results"]
    assert broken == {"result": [], "model_version": artifact.hash}
    assert len(whole["result"]) == 2


def test_no_tasks_give_no_results(client: TestClient) -> None:
    assert client.post("/label-studio/predict", json=predict_request()).json() == {"results": []}


@pytest.mark.parametrize(
    "image",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://example.com/x.png",
        "s3://bucket/x.png",
        "file:///etc/passwd",
        "/data/upload/1/x.png",
        "/data/local-files/?d=x.png",
    ],
)
def test_nothing_is_fetched(client: TestClient, image: str) -> None:
    answer = client.post("/label-studio/predict", json=predict_request(task(5, image)))
    assert answer.status_code == 422
    assert "picture of task 5" in answer.json()["error"]
    assert "nothing is fetched" in answer.json()["error"]


BOMB = '<!DOCTYPE x [<!ENTITY a "aa">]><View>&a;</View>'


@pytest.mark.parametrize(
    "config",
    [
        *(None, 7, "", "<View", "<View/>", BOMB),
        '<View><BrushLabels name="b" toName="i"/></View>',
        '<View><Image name="i" value="x.png"/><BrushLabels name="b" toName="i"/></View>',
        " " * 1_000_001,
    ],
)
def test_configurations_without_a_brush_are_refused(client: TestClient, config: object) -> None:
    for path, body in (("setup", {"schema": config}), ("predict", predict_request(config=config))):
        answer = client.post(f"/label-studio/{path}", json=body)
        assert answer.status_code == 422
        assert "expected a labelling configuration" in answer.json()["error"]


@pytest.mark.parametrize("tasks", [None, {}, [1], [{}], [{"data": {}}], [{"data": {"picture": 1}}]])
def test_broken_tasks_are_refused(client: TestClient, tasks: object) -> None:
    answer = client.post("/label-studio/predict", json=predict_request() | {"tasks": tasks})
    assert answer.status_code == 422
    assert "expected" in answer.json()["error"]


def test_uploads_are_read_in_the_media_folder_only(
    artifact: Artifact, picture: bytes, tmp_path: Path
) -> None:
    media = tmp_path / "media"
    (media / "upload" / "1").mkdir(parents=True)
    (media / "upload" / "1" / "a b.png").write_bytes(picture)
    (media / "upload" / "1" / "large.png").write_bytes(b"x" * 100_001)
    (media / "secret.png").write_bytes(picture)
    (media / "upload" / "link.png").symlink_to(media / "secret.png")
    app = make_app(artifact, HeldEngine(), label_studio_media_dir=media, max_image_bytes=100_000)
    with TestClient(app) as client:

        def predict(image: str) -> httpx.Response:
            return client.post("/label-studio/predict", json=predict_request(task(1, image)))

        found = predict("/data/upload/1/a%20b.png?x=1").json()["results"]
        assert len(found[0]["result"]) == 2
        assert predict("/data/upload/1/large.png").json()["results"][0]["result"] == []
        for path in (
            "../secret.png",
            "..%2fsecret.png",
            "1/../../secret.png",
            "link.png",
            "1",
            "none.png",
            "a%00b",
            "x" * 5000,
        ):
            answer = predict(f"/data/upload/{path}")
            assert answer.status_code == 422, path
            assert "in the media folder" in answer.json()["error"]
        assert predict("/data/local-files/?d=secret.png").status_code == 422


def test_health_answers_while_the_engine_is_busy(artifact: Artifact) -> None:
    engine = HeldEngine()
    app = make_app(artifact, engine)
    image = inline(to_bytes(np.zeros((64, 64, 3), np.uint8)))

    async def scenario() -> None:
        async with running(app, engine) as caller:
            engine.open.clear()
            busy = [
                asyncio.ensure_future(
                    caller.post("/label-studio/predict", json=predict_request(task(1, image)))
                )
                for _ in range(8)
            ]
            await engine.hold()
            assert (await caller.get("/label-studio/health")).status_code == 200
            engine.open.set()
            assert all(answer.status_code == 200 for answer in await asyncio.gather(*busy))

    asyncio.run(scenario())
