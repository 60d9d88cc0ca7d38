"""The dashboard's form, by a small schema of ours, and its queries, by a real Prometheus.

Grafana itself is not run: what it would draw is not seen here.
"""

import json
import math
from typing import Any

import pytest
import yaml

from tests.deploy.ask import answered, query
from tests.deploy.programs import DASHBOARD, ROOT
from tests.deploy.schemas import check

BOARD = json.loads(DASHBOARD.read_text(encoding="utf-8"))
DRAWN = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
# What Grafana fills in; the shortest scrape interval that gives a rate is far below 30 s here.
FILLED_IN = {"$__rate_interval": "30s", "$job": ".*", "$instance": ".*", "$model": ".*"}


def filled_in(expression: str) -> str:
    for name, text in FILLED_IN.items():
        expression = expression.replace(name, text)
    assert "$" not in expression
    return expression


def test_it_has_the_form_of_a_dashboard() -> None:
    check("dashboard", BOARD)
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DRAWN:
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names)


def test_it_answers_the_four_questions() -> None:
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Is it healthy?",
        "How loaded is it?",
        "Where does time go?",
        "What is refused, and why?",
    ]


def test_no_panel_covers_another() -> None:
    taken = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        columns, rows = (
            range(place["x"], place["x"] + place["w"]),
            range(place["y"], place["y"] + place["h"]),
        )
        cells = {(column, row) for column in columns for row in rows}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("panel", DRAWN, ids=[panel["title"] for panel in DRAWN])
def test_every_query_has_an_answer_after_a_load(prometheus: str, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        found = answered(prometheus, filled_in(target["expr"]))
        values = [float(series["value"][1]) for series in found]
        assert any(math.isfinite(value) for value in values), target["expr"]
        for name in target["legendFormat"].split("{{")[1:]:
            assert all(name.partition("}}")[0] in series["metric"] for series in found)


def test_every_query_shows_nothing_for_a_job_that_is_not_there(prometheus: str) -> None:
    """But for the number of alerts, which belong to no job."""
    for panel in DRAWN:
        for target in panel["targets"]:
            expression = filled_in(target["expr"].replace("$job", "nobody"))
            assert not query(prometheus, expression) or "ALERTS" in expression


def test_the_choices_are_found(prometheus: str) -> None:
    for choice in BOARD["templating"]["list"]:
        if choice["type"] == "query":
            selector, _, label = choice["definition"].removesuffix(")").rpartition(", ")
            series = answered(prometheus, filled_in(selector.removeprefix("label_values(")))
            assert {one["metric"][label] for one in series}


def test_the_load_is_told_apart(prometheus: str) -> None:
    """The last row names what was refused, and the first what was answered."""
    asked = {panel["title"]: panel["targets"][0]["expr"] for panel in DRAWN}

    def values(title: str, label: str) -> dict[str, float]:
        found = answered(prometheus, filled_in(asked[title]))
        return {series["metric"][label]: float(series["value"][1]) for series in found}

    causes = values("Requests without an answer, by cause", "reason")
    assert set(causes) == {"backend", "decode", "overloaded", "timeout", "validation"}
    assert values("Answers by status", "code").keys() >= {"200", "415", "422", "429", "500", "504"}
    assert values("Failed runs of the engine", "model")["fake"] > 0


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    folder = ROOT / "docker" / "grafana" / "provisioning"
    (source,) = yaml.safe_load(
        (folder / "datasources" / "prometheus.yml").read_text(encoding="utf-8")
    )["datasources"]
    (provider,) = yaml.safe_load(
        (folder / "dashboards" / "maskformer.yml").read_text(encoding="utf-8")
    )["providers"]
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    mounts = dict(entry.split(":")[:2] for entry in services["grafana"]["volumes"])
    assert mounts["./docker/grafana/provisioning"] == "/etc/grafana/provisioning"
    shown = mounts[f"./{DASHBOARD.relative_to(ROOT)}"]
    assert shown.startswith(provider["options"]["path"])
    assert services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == shown
