"""Every alert fires when it should, asks for what the service really tells, and has its page."""

import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.ask import answered, ask, query
from tests.deploy.programs import ALERTS, MONITORING, ROOT, need

GROUPS = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
FIRING = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RUNBOOK = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
CASES = Path(__file__).with_name("alerts_test.yml")


def test_promtool_sees_each_alert_fire_in_its_time(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yml"
    cases.write_text(
        CASES.read_text(encoding="utf-8").replace("{{alerts}}", str(ALERTS)), encoding="utf-8"
    )
    command = [need("promtool"), "test", "rules", str(cases)]
    tested = subprocess.run(command, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_each_alert_is_seen_to_fire_and_to_be_silent() -> None:
    checks = [
        check
        for case in yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
        for check in case["alert_rule_test"]
    ]
    fired = {check["alertname"] for check in checks if check.get("exp_alerts")}
    silent = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert fired == silent == set(FIRING)


def test_prometheus_takes_all_rules(prometheus: str) -> None:
    groups = ask(prometheus, "rules")["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert health == {rule.get("record") or rule["alert"]: "ok" for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=[r.get("record") or r["alert"] for r in RULES])
def test_each_rule_asks_for_what_the_service_tells(prometheus: str, rule: dict[str, Any]) -> None:
    """With its threshold taken away, every alert would fire; a record has a value as it is."""
    if rule.get("alert") == "MaskFormerAbsent":
        assert not query(prometheus, rule["expr"])
        return
    answered(prometheus, re.sub(r"(>|==) [0-9.]+", ">= 0", rule["expr"]))


def test_each_alert_has_its_section_and_each_section_its_alert() -> None:
    part = RUNBOOK.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", part, re.M | re.S))
    assert list(sections) == list(FIRING)
    for name, text in sections.items():
        for part in ("**Means.**", "**Look.**", "**Do.**"):
            assert text.count(part) == 1, f"{name} {part}"
        assert FIRING[name]["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
        assert FIRING[name]["labels"]["severity"] in text


def test_the_operator_gets_the_same_rules() -> None:
    renew = runpy.run_path(str(MONITORING / "renew.py"))
    written = renew["RULE"].read_text(encoding="utf-8")
    assert written == renew["prometheus_rule"](), "run: python deploy/.../monitoring/renew.py"
    assert yaml.safe_load(written)["spec"]["groups"] == GROUPS
