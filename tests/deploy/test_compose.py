"""docker-compose.yml, by a small schema of ours: Docker itself is not run."""

from typing import Any

import pytest
import yaml

from app.settings import load_settings
from tests.deploy.leaving import leaving_s
from tests.deploy.programs import ROOT
from tests.deploy.schemas import check

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
OURS = {n: s for n, s in COMPOSE["services"].items() if s["image"].startswith("maskformer")}


def test_it_has_the_form_of_a_compose_file() -> None:
    check("compose", COMPOSE)


def test_every_file_that_is_mounted_is_there() -> None:
    mounts = [
        entry for service in COMPOSE["services"].values() for entry in service.get("volumes", [])
    ]
    sources = [entry.split(":")[0] for entry in mounts]
    for source in sources:
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    assert all(entry.endswith(":ro") for entry in mounts if entry.startswith("."))


def test_only_the_profile_gpu_asks_for_a_gpu() -> None:
    assert set(OURS) == {"maskformer", "maskformer-gpu"}
    for name, service in OURS.items():
        assert (
            ("deploy" in service) == (service.get("profiles") == ["gpu"]) == (name != "maskformer")
        )


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_the_service_is_confined_and_has_time_to_leave(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    settings = load_settings(environ={n: str(v) for n, v in service["environment"].items()})
    assert int(service["stop_grace_period"].removesuffix("s")) >= leaving_s(settings)


def test_prometheus_scrapes_our_services_at_their_port() -> None:
    config = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert job["job_name"] == "maskformer"  # the alerts say so too
    assert set(found["names"]) == set(OURS)
    for service in OURS.values():
        assert service["ports"][0].endswith(f":{found['port']}")
