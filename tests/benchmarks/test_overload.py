"""The programs that load a server, against small servers with known answers."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from benchmarks import overload, soak
from benchmarks._flood import Flood, flood
from benchmarks._mixed import KINDS, Ask, Mixed
from model.artifact import Artifact
from tests.app.conftest import HeldEngine, make_app
from tests.app.live import serving
from tests.fakes import fake_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return fake_artifact(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def url(artifact: Artifact) -> Iterator[str]:
    from app.main import create_app
    from app.settings import Settings
    from model.inference.segmenter import Segmenter

    app = create_app(Settings(cpu_threads=2), {"model": Segmenter(artifact, HeldEngine())})
    with serving(app) as address:
        yield f"http://{address}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_request_gets_a_right_status(url: str, kind: Ask) -> None:
    async def ask() -> Counter[int]:
        async with httpx.AsyncClient(timeout=60) as web:
            caller = Mixed(url, web, ["semantic", "panoptic"])
            return Counter([await kind(caller, random.Random(seed)) for seed in range(4)])

    statuses = asyncio.run(ask())
    assert all(soak.is_right(kind.__name__, status) for status in statuses), statuses


def test_a_flood_is_answered_or_refused(artifact: Artifact) -> None:
    engine = HeldEngine(max_batch=1, delay_s=0.05)
    with serving(make_app(artifact, engine, max_queue=2)) as address:
        picture = Mixed("", httpx.AsyncClient(), []).picture(random.Random(0), (64, 64))
        found = asyncio.run(
            flood(f"http://{address}/segment", 200, 0.5, [picture], ["X-Priority: bulk"])
        )
    assert set(found.status) == {200, 429}
    assert not found.broken
    assert 60 < len(found.status) < 140
    assert len(found.retry_after_s) == found.status.count(429)
    assert len(found.sent_s) == len(found.latency_s) == len(found.status)


def test_a_flood_counts_what_breaks() -> None:
    found = asyncio.run(flood("http://127.0.0.1:9/segment", 100, 0.02, [b"x"], []))
    assert found.broken
    assert not found.status


def test_a_server_is_watched_and_a_dead_one_counts_as_slow(url: str) -> None:
    def watched(origin: str, seconds: float) -> overload.Seen:
        server = SimpleNamespace(url=f"{origin}/segment", memory_mb=lambda: 7.0)
        return overload.watch(server, time.perf_counter() + seconds, 60.0)

    seen = watched(url, 0.6)
    assert seen.memory_mb == [7.0]
    assert len(seen.health_s) == 2
    assert max(seen.health_s) < overload.PROBE_LIMIT_S
    assert watched("http://127.0.0.1:9", 0.1).health_s == [overload.PROBE_LIMIT_S]


def answered(number: int, refused: int, latency_s: float = 1.0) -> Flood:
    total = number + refused
    return Flood(
        sent_s=[i / total for i in range(total)],
        latency_s=[latency_s] * total,
        status=[200] * number + [429] * refused,
        elapsed_s=10.0,
    )


@pytest.mark.parametrize(
    ("number", "latency_s", "last_mb", "health_s", "failing"),
    [
        (96, 1.0, 101, 0.9, None),
        (90, 1.0, 101, 0.9, 0),
        (96, 1.2, 101, 0.9, 1),
        (96, 1.0, 110, 0.9, 2),
        (96, 1.0, 101, 1.1, 4),
    ],
)
def test_the_verdict_of_an_overload(
    number: int, latency_s: float, last_mb: float, health_s: float, failing: int | None
) -> None:
    seen = overload.Seen([90, 100, 100, last_mb], [0.01, health_s])
    rows = overload.verdict(answered(number, 900, latency_s), 10.0, 10, seen)
    assert [row["holds"] for row in rows] == ["no" if i == failing else "yes" for i in range(5)]
    assert overload.details(answered(number, 900), 10.0, 10, seen)
    assert overload.by_priority("bulk", 100.0, answered(0, 10))["answered_percent"] == 0


@pytest.mark.parametrize(
    ("key", "late", "failing"),
    [("memory_mb", 104, None), ("memory_mb", 106, 0), ("files", 103, 1), ("threads", 103, 2)],
)
def test_the_verdict_of_a_soak(key: str, late: int, failing: int | None) -> None:
    rounds = [
        {"memory_mb": 100, "files": 100, "threads": 100} | ({key: late} if i >= 6 else {})
        for i in range(8)
    ]
    good: soak.Counts = Counter({("raw", 200): 5, ("raw", 429): 1, ("nowhere", 404): 1})
    rows = soak.verdict(rounds, good, lives=True)
    assert [i for i, row in enumerate(rows) if row["holds"] == "no"] == (
        [] if failing is None else [failing]
    )
    bad: soak.Counts = Counter({("raw", 500): 1, ("wrong_wish", 200): 1, ("raw", "ReadError"): 1})
    rows = soak.verdict(rounds[:6], bad, lives=False)
    assert [row["measured"] for row in rows[3:]] == [3, 1]
