"""Writes prometheusrule.yaml from alerts.yml; a test compares them.

The Prometheus Operator wants the same groups inside a resource of its own, and kustomize cannot
put one file into another. Run: python deploy/kubernetes/components/monitoring/renew.py
"""

from pathlib import Path

_FOLDER = Path(__file__).parent
RULE = _FOLDER / "prometheusrule.yaml"
_HEAD = """\
# Written by renew.py from alerts.yml; change that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: maskformer
spec:
"""


def prometheus_rule() -> str:
    """The text of prometheusrule.yaml."""
    rules = (_FOLDER / "alerts.yml").read_text(encoding="utf-8")
    lines = rules[rules.index("groups:") :].splitlines()
    return _HEAD + "".join(f"  {line}".rstrip() + "\n" for line in lines)


if __name__ == "__main__":
    RULE.write_text(prometheus_rule(), encoding="utf-8")
