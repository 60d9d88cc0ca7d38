"""What kubectl builds of deploy/kubernetes, checked against schemas, the service and Prometheus.

No cluster is run.
"""

import copy
import math
import os
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings, load_settings
from tests.deploy.ask import answered
from tests.deploy.kubernetes import Resource, build, container, expect_valid, of_kind
from tests.deploy.leaving import leaving_s
from tests.deploy.programs import KUBERNETES, MONITORING, ROOT

OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())


def overlay(name: str) -> list[Resource]:
    return build(KUBERNETES / "overlays" / name)


@pytest.fixture(scope="module", params=["autoscaling-hpa", "autoscaling-keda"])
def everything(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Resource]:
    """All components together on a GPU, as a user may combine them; one autoscaler at a time."""
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    chosen = [c for c in COMPONENTS if not c.startswith("autoscaling") or c == request.param]
    own = folder / "overlays" / "own"
    own.mkdir()
    names = [f"../../components/{name}" for name in chosen]
    content = {"resources": ["../gpu"], "components": names}
    (own / "kustomization.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return build(own)


def test_the_overlays_that_the_readme_names_are_there() -> None:
    assert {"cpu", "gpu", "monitoring", "autoscaling"} <= set(OVERLAYS)
    readme = (KUBERNETES / "README.md").read_text(encoding="utf-8")
    for name in (*OVERLAYS, *COMPONENTS):
        assert f"`{name}`" in readme, name


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_is_valid(name: str) -> None:
    resources = overlay(name)
    for resource in resources:
        expect_valid(resource)
        if resource["kind"] != "Namespace":
            assert resource["metadata"]["namespace"] == "maskformer"
    names = [(r["kind"], r["metadata"]["name"]) for r in resources]
    assert len(set(names)) == len(names)


def test_all_components_go_together(everything: list[Resource]) -> None:
    for resource in everything:
        expect_valid(resource)
    pod = of_kind(everything, "Deployment")["spec"]["template"]["spec"]
    known = {r["metadata"]["name"] for r in everything if r["kind"] == "ConfigMap"}
    asked = {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert asked and asked <= known
    assert "replicas" not in of_kind(everything, "Deployment")["spec"]
    images = {c["image"] for c in [*pod["containers"], *pod["initContainers"]]}
    assert images == {"maskformer-serving:gpu", "maskformer-serving:train"}


def test_a_wrong_resource_is_found() -> None:
    wrong = copy.deepcopy(of_kind(overlay("cpu"), "Deployment"))
    wrong["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        expect_valid(wrong)


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
def test_the_settings_are_the_service_s_and_its_time_to_leave_fits(hardware: str) -> None:
    resources = overlay(hardware)
    pod = of_kind(resources, "Deployment")["spec"]["template"]["spec"]
    settings = load_settings(environ=of_kind(resources, "ConfigMap")["data"])
    ours = container(of_kind(resources, "Deployment"))
    assert [port["containerPort"] for port in ours["ports"]] == [settings.port]
    assert pod["enableServiceLinks"] is False
    before_s = ours["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before_s > 0
    assert pod["terminationGracePeriodSeconds"] >= before_s + leaving_s(settings)
    # Probes learn of the drain before it is over.
    probe = ours["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < settings.drain_delay_ms / 1000


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
def test_pods_are_confined(everything: list[Resource], hardware: str) -> None:
    for resources in (overlay(hardware), everything):
        pod = of_kind(resources, "Deployment")["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for one in [*pod["containers"], *pod.get("initContainers", [])]:
            confined = one["securityContext"]
            assert confined["readOnlyRootFilesystem"]
            assert not confined["allowPrivilegeEscalation"]
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(one["resources"]["requests"])
            assert "memory" in one["resources"]["limits"]
            assert "/tmp" in {mount["mountPath"] for mount in one["volumeMounts"]}
        cores = container(of_kind(resources, "Deployment"))["resources"]
        assert cores["limits"]["cpu"] == cores["requests"]["cpu"]
        assert cores["limits"]["cpu"].isdecimal()  # threads are whole


def test_only_the_overlay_gpu_takes_a_gpu() -> None:
    taken = [
        container(of_kind(overlay(name), "Deployment"))["resources"]["limits"] for name in OVERLAYS
    ]
    assert [name for name, t in zip(OVERLAYS, taken, strict=True) if "nvidia.com/gpu" in t] == [
        "gpu"
    ]
    # Without a spare GPU a rolling update would wait for ever for room for one more pod.
    rolling = of_kind(overlay("gpu"), "Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxSurge"] == 0 < rolling["maxUnavailable"]


@pytest.fixture(scope="module")
def routes() -> TestClient:
    """The service's routes, before any model is loaded."""
    return TestClient(create_app(Settings(), {}), raise_server_exceptions=False)


def is_there(routes: TestClient, path: str) -> bool:
    return routes.get(path).status_code != 404


def test_probes_and_scrapes_ask_for_what_is_there(routes: TestClient) -> None:
    resources = overlay("monitoring")
    ours = container(of_kind(resources, "Deployment"))
    probes = [ours[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert [probe["path"] for probe in probes] == ["/readyz", "/readyz", "/livez"]
    (scrape,) = of_kind(resources, "ServiceMonitor")["spec"]["endpoints"]
    service = of_kind(resources, "Service")
    assert [port["name"] for port in service["spec"]["ports"]] == [scrape["port"]]
    assert service["metadata"]["labels"].items() >= (
        of_kind(resources, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    )
    assert service["metadata"]["name"] == "maskformer"  # the label `job` that alerts ask for
    for path in [scrape["path"], *[probe["path"] for probe in probes]]:
        assert is_there(routes, path), path


def paths(resource: Resource) -> dict[str, bool]:
    """Those that an Ingress or HTTPRoute lets in, and whether all below them are."""
    if resource["kind"] == "Ingress":
        found = [p for rule in resource["spec"]["rules"] for p in rule["http"]["paths"]]
        return {p["path"]: p["pathType"] == "Prefix" for p in found}
    matches = [m["path"] for rule in resource["spec"]["rules"] for m in rule["matches"]]
    return {m["value"]: m["type"] == "PathPrefix" for m in matches}


def test_the_world_reaches_pictures_and_no_more(routes: TestClient) -> None:
    ingress, route = (
        of_kind(overlay("ingress"), "Ingress"),
        of_kind(overlay("gateway"), "HTTPRoute"),
    )
    let_in = paths(ingress)
    assert let_in == paths(route)
    for path in (*let_in, "/segment/batch"):
        page = next((ROOT / "app" / "playground").glob("*.js")).name
        assert is_there(routes, f"{path}/{page}" if path == "/playground" else path), path
    inside = ("/metrics", "/stats", "/livez", "/readyz", "/models/x/unload", "/v2/models")
    for path in inside:
        assert is_there(routes, path)
        assert not any(path == p or (b and path.startswith(f"{p}/")) for p, b in let_in.items())


def test_proxies_let_through_what_the_service_takes() -> None:
    """The next whole MiB, so that the service's own sentence is what callers read."""
    settings = Settings()
    size = f"{math.ceil(settings.max_body_bytes / 2**20)}m"
    words = of_kind(overlay("ingress"), "Ingress")["metadata"]["annotations"]
    assert words["nginx.org/client-max-body-size"] == size
    assert words["nginx.ingress.kubernetes.io/proxy-body-size"] == size
    policy = of_kind(overlay("gateway"), "ClientSettingsPolicy")["spec"]
    assert policy["body"]["maxSize"] == size
    route = of_kind(overlay("gateway"), "HTTPRoute")
    assert policy["targetRef"]["name"] == route["metadata"]["name"]
    (rule,) = route["spec"]["rules"]
    waits_s = (
        words["nginx.org/proxy-read-timeout"],
        words["nginx.ingress.kubernetes.io/proxy-read-timeout"],
        rule["timeouts"]["request"],
    )
    assert all(int(w.removesuffix("s")) > settings.request_timeout_ms / 1000 for w in waits_s)


def selected(resource: Resource, resources: list[Resource]) -> bool:
    """Whether a selector finds the Deployment's pods."""
    spec = resource["spec"]
    selector = spec.get("podSelector", spec.get("selector", {}))
    labels = of_kind(resources, "Deployment")["spec"]["template"]["metadata"]["labels"]
    return labels.items() >= selector.get("matchLabels", selector).items()


def test_selectors_find_the_pods(everything: list[Resource]) -> None:
    kinds = ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment")
    found = [resource for resource in everything if resource["kind"] in kinds]
    assert len(found) == 6
    assert all(selected(resource, everything) for resource in found)


def test_nothing_goes_out_unless_models_come_from_outside(everything: list[Resource]) -> None:
    policy = of_kind(overlay("cpu"), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    assert of_kind(everything, "NetworkPolicy", "maskformer-import")["spec"]["egress"]


def adapter_rules() -> list[Resource]:
    path = KUBERNETES / "components" / "autoscaling-hpa" / "prometheus-adapter.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]["custom"]


def test_the_autoscaler_s_numbers_are_there(prometheus: str) -> None:
    """With the adapter's template filled in as its documentation says."""
    scaler = of_kind(overlay("autoscaling"), "HorizontalPodAutoscaler")["spec"]
    asked = [metric["pods"]["metric"]["name"] for metric in scaler["metrics"]]
    assert asked == [rule["name"]["as"] for rule in adapter_rules()]
    for rule in adapter_rules():
        assert answered(prometheus, rule["seriesQuery"])
        expression = rule["metricsQuery"]
        filled_in = {
            "<<.Series>>": rule["seriesQuery"].partition("{")[0],
            "<<.LabelMatchers>>": 'namespace="maskformer",pod=~"maskformer-0|maskformer-1"',
            "<<.GroupBy>>": "pod",
        }
        for name, text in filled_in.items():
            expression = expression.replace(name, text)
        (found,) = answered(prometheus, expression)
        assert (found["metric"], float(found["value"][1])) == ({"pod": "maskformer-0"}, 0)


def test_keda_scales_by_the_same_rule(prometheus: str) -> None:
    scaler = of_kind(overlay("autoscaling"), "HorizontalPodAutoscaler")["spec"]
    keda = of_kind(overlay("autoscaling-keda"), "ScaledObject")["spec"]
    assert keda["scaleTargetRef"]["name"] == scaler["scaleTargetRef"]["name"]
    assert (keda["minReplicaCount"], keda["maxReplicaCount"]) == (
        scaler["minReplicas"],
        scaler["maxReplicas"],
    )
    assert keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == scaler["behavior"]
    targets = [metric["pods"]["target"]["averageValue"] for metric in scaler["metrics"]]
    triggers = [trigger["metadata"] for trigger in keda["triggers"]]
    assert [trigger["threshold"] for trigger in triggers] == targets
    for trigger in triggers:
        (found,) = answered(prometheus, trigger["query"])
        assert float(found["value"][1]) == 0


def test_the_dashboard_reaches_grafana() -> None:
    board = of_kind(overlay("monitoring"), "ConfigMap", "maskformer-dashboard")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert board["data"]["dashboard.json"] == (MONITORING / "dashboard.json").read_text(
        encoding="utf-8"
    )


def test_the_import_happens_once_and_whole(tmp_path: Path) -> None:
    """The init container's script, with a stand-in for the command that it calls."""
    script = KUBERNETES / "components" / "imported-model" / "import.sh"
    stand_in = tmp_path / "bin" / "python"
    stand_in.parent.mkdir()
    stand_in.write_text(
        "#!/bin/sh\necho x >> $COUNT\nmkdir $5 && echo $4 > $5/artifact.json && exit $FAILS\n",
        encoding="utf-8",
    )
    stand_in.chmod(0o755)
    models, count = tmp_path / "models", tmp_path / "count"
    models.mkdir()

    def start(fails: int) -> int:
        environment = os.environ | {
            "PATH": f"{stand_in.parent}:{os.environ['PATH']}",
            "COUNT": str(count),
            "FAILS": str(fails),
        }
        command = ["sh", str(script), "some/model", str(models / "m")]
        return subprocess.run(command, env=environment).returncode

    assert start(1) == 1
    assert not list(models.iterdir())  # half an import leaves nothing
    assert [start(0), start(0)] == [0, 0]
    assert (models / "m" / "artifact.json").read_text(encoding="utf-8") == "some/model\n"
    assert count.read_text(encoding="utf-8") == "x\nx\n"
    assert [path.name for path in models.iterdir()] == ["m"]
