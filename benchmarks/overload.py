"""What does a server do under ten times the load that it can carry?

    python -m benchmarks.overload [--seconds 120]

Swin-T behind `maskformer serve` as it comes. First as many callers as keep it busy: its capacity.
Then for so many seconds ten times as many requests as that, sent whether answers come or not. Then
the capacity again, because the speed of a machine drifts. At last, for a quarter of the time, the
same flood as `bulk`, and beside it a quarter of the capacity as `interactive`.

Goodput counts pictures that were answered, from the first request to the last answer. Callers run
on the same machine, so what they cost stands beside it.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx

from app.settings import Settings
from benchmarks._flood import Flood
from benchmarks._model import swin_tiny
from benchmarks._report import Row, percentile, pictures, plot, read_arguments, report
from benchmarks._servers import Server, ours
from model.artifact import load_artifact

TIMES_CAPACITY = 10.0
INTERACTIVE_SHARE = 0.25
CALLERS = 8
PROBE_S, PROBE_LIMIT_S = 0.5, 10.0
SAMPLE_S = 5.0  # reading the memory of a large process holds it up for a moment
LEAST_GOODPUT = 0.95
# Beside the queue there are decoding and encoding, and the rate swings.
MOST_QUEUES = 1.1
MOST_GROWTH = 1.05
MOST_HEALTH_S = 1.0


def main() -> None:
    arguments = read_arguments(__doc__ or "", seconds=120)
    artifact = load_artifact(arguments.model) if arguments.model else swin_tiny()
    with tempfile.TemporaryDirectory() as folder:
        bodies = write_bodies(Path(folder))
        server = ours(artifact.folder)
        try:
            model = httpx.get(f"{origin(server)}/models").json()["models"][0]
            measure = partial(capacity, server, bodies, arguments.seconds / 6)
            capacity(server, bodies, 1.0)  # not counted
            before = measure()
            print(f"capacity: {before.per_s:.2f} pictures a second", flush=True)
            rate = TIMES_CAPACITY * before.per_s
            begun_cpu_s = server.cpu_s()
            (one,), seen = floods(server, bodies, arguments.seconds, {"": rate})
            flood_cpu_s = server.cpu_s() - begun_cpu_s
            after = measure()
            print(f"capacity: {after.per_s:.2f} pictures a second", flush=True)
            wishes = {"bulk": rate, "interactive": INTERACTIVE_SHARE * before.per_s}
            mixed, _ = floods(server, bodies, arguments.seconds / 4, wishes)
        finally:
            server.end()
    capacity_per_s = (before.per_s + after.per_s) / 2
    each_s = flood_cpu_s / max(1, len(accepted_s(one)))
    times_each = each_s / ((before.each_cpu_s + after.each_cpu_s) / 2)
    inside = Settings().max_queue + model["slots"] * model["max_batch"]
    tables = {
        "verdict": verdict(one, capacity_per_s, inside, seen),
        "details": [
            *details(one, capacity_per_s, inside, seen),
            {"what": "processor time of an answer over that at the capacity", "value": times_each},
        ],
        "priorities": [by_priority(n, wishes[n], f) for n, f in zip(wishes, mixed, strict=True)],
    }
    shown = {"times_capacity": TIMES_CAPACITY, "callers": CALLERS, "rate_per_s": rate}
    report("overload", arguments, tables, **shown)
    plot(arguments, "overload", partial(draw, one, inside), wide=True)


def origin(server: Server) -> str:
    return server.url.partition("/segment")[0]


def write_bodies(folder: Path) -> list[Path]:
    """Each picture in a file."""
    paths = []
    for index, picture in enumerate(pictures()):
        paths.append(folder / f"{index}.jpg")
        paths[-1].write_bytes(picture)
    return paths


class Capacity(NamedTuple):
    """Answers per second, and the server's processor time of each."""

    per_s: float
    each_cpu_s: float


def capacity(server: Server, bodies: Sequence[Path], seconds: float) -> Capacity:
    """What callers get that each have one request open."""
    before_s = server.cpu_s()
    command = [sys.executable, "-m", "benchmarks._load", server.url, str(CALLERS), str(seconds)]
    turn = json.loads(subprocess.check_output([*command, ",".join(map(str, bodies))]))
    if turn["failures"]:
        raise RuntimeError(f"expected only answers below the capacity, got {turn['failures'][:3]}")
    count = len(turn["latencies_s"])
    return Capacity(count / float(turn["elapsed_s"]), (server.cpu_s() - before_s) / count)


@dataclass
class Seen:
    """What the server was like in a flood.

    Attributes:
        memory_mb: every so many seconds.
        health_s: time of each answer to a probe, two a second.
    """

    memory_mb: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)


def floods(
    server: Server, bodies: Sequence[Path], seconds: float, rates: dict[str, float]
) -> tuple[list[Flood], Seen]:
    """A flood per priority, all at once; and what the server was like until the last is sent."""
    processes = []
    ends_s = time.perf_counter() + seconds
    for priority, rate in rates.items():
        command = [sys.executable, "-m", "benchmarks._flood", server.url, str(rate), str(seconds)]
        command.append(",".join(map(str, bodies)))
        command += [f"X-Priority: {priority}"] if priority else []
        output = bodies[0].with_name(f"answers-{priority}.json")
        with output.open("w") as file:  # a pipe that nobody reads would stop it
            processes.append((subprocess.Popen(command, stdout=file), output))
    try:
        seen = watch(server, ends_s, min(SAMPLE_S, seconds / 8))
        found = []
        for process, output in processes:
            if process.wait() != 0:
                raise RuntimeError(f"expected a flood to end with 0, got {process.returncode}")
            found.append(Flood(**json.loads(output.read_text(encoding="utf-8"))))
    finally:
        for process, _ in processes:
            process.kill()
    return found, seen


def watch(server: Server, ends_s: float, sample_s: float) -> Seen:
    """Probe a server until a time of `time.perf_counter`; one that fails counts as its limit."""
    seen, memory_due_s = Seen(), 0.0
    with httpx.Client(base_url=origin(server), timeout=PROBE_LIMIT_S) as web:
        while (asked_s := time.perf_counter()) < ends_s:
            try:
                web.get("/label-studio/health").raise_for_status()
                seen.health_s.append(time.perf_counter() - asked_s)
            except httpx.HTTPError:
                seen.health_s.append(PROBE_LIMIT_S)
            if time.perf_counter() >= memory_due_s:
                seen.memory_mb.append(server.memory_mb())
                memory_due_s = time.perf_counter() + sample_s
            time.sleep(PROBE_S)
    return seen


def accepted_s(flood: Flood) -> list[float]:
    """Latencies of the answered requests."""
    pairs = zip(flood.latency_s, flood.status, strict=True)
    return [latency for latency, status in pairs if status == 200]


def goodput_per_s(flood: Flood) -> float:
    return len(accepted_s(flood)) / flood.elapsed_s


def verdict(flood: Flood, capacity_per_s: float, inside: int, seen: Seen) -> list[Row]:
    """What is promised, what was measured, and whether it holds.

    Args:
        flood: what became of the requests.
        capacity_per_s: answers per second to callers that wait.
        inside: pictures that queue and engine hold.
        seen: memory at least 4 times from the beginning to the end of the flood.
    """
    goodput = goodput_per_s(flood)
    queues = percentile(accepted_s(flood), 0.99) * goodput / inside
    memory_mb, quarter = seen.memory_mb, len(seen.memory_mb) // 4
    growth = median(memory_mb[-quarter:]) / median(memory_mb[quarter : 2 * quarter])
    others = sum(status not in (200, 429) for status in flood.status) + len(flood.broken)
    return [
        _row("goodput over capacity", goodput / capacity_per_s, ">=", LEAST_GOODPUT),
        _row("p99 of answers over (queue and engine) / rate", queues, "<=", MOST_QUEUES),
        _row("memory, last quarter of the time over the second", growth, "<=", MOST_GROWTH),
        _row("neither answered nor refused with 429", others, "<=", 0),
        _row("slowest answer to a probe of health, s", max(seen.health_s), "<=", MOST_HEALTH_S),
    ]


def _row(what: str, measured: float, sign: str, limit: float) -> Row:
    holds = measured >= limit if sign == ">=" else measured <= limit
    wanted = f"{sign} {limit:g}"
    return {"what": what, "measured": measured, "wanted": wanted, "holds": "yes" if holds else "no"}


def details(flood: Flood, capacity_per_s: float, inside: int, seen: Seen) -> list[Row]:
    """The numbers behind the verdict."""
    answers_s, goodput = accepted_s(flood), goodput_per_s(flood)
    pairs = zip(flood.latency_s, flood.status, strict=True)
    refusals_s = [latency for latency, status in pairs if status == 429] or [0.0]
    statuses = ", ".join(f"{n} x {status}" for status, n in sorted(Counter(flood.status).items()))
    values: dict[str, object] = {
        "capacity, pictures/s": capacity_per_s,
        "asked, requests/s": len(flood.status) / max(flood.sent_s),
        "goodput, pictures/s": goodput,
        "answers by status": statuses,
        "connections that broke": len(flood.broken),
        "median of answers, s": median(answers_s),
        "p99 of answers, s": percentile(answers_s, 0.99),
        "(queue and engine) / rate, s": inside / goodput,
        "p99 of refusals, ms": 1000 * percentile(refusals_s, 0.99),
        "Retry-After, median, s": median(flood.retry_after_s or [0]),
        "probes of health, median, ms": 1000 * median(seen.health_s),
        "memory at the beginning, MB": seen.memory_mb[0],
        "memory at the end, MB": seen.memory_mb[-1],
        "memory, highest, MB": max(seen.memory_mb),
        "processor time of the callers, cores": flood.cpu_s / flood.elapsed_s,
        "sent late, at most, ms": 1000 * flood.late_s,
    }
    return [{"what": what, "value": value} for what, value in values.items()]


def by_priority(priority: str, rate: float, flood: Flood) -> Row:
    answers_s = accepted_s(flood)
    return {
        "priority": priority,
        "asked_per_s": rate,
        "answered_per_s": goodput_per_s(flood),
        "answered_percent": 100 * len(answers_s) / max(1, len(flood.status)),
        "p50_s": median(answers_s) if answers_s else None,
        "p99_s": percentile(answers_s, 0.99) if answers_s else None,
    }


def draw(flood: Flood, inside: int, axes: Any) -> None:
    """Latency over time, of answers and refusals."""
    points = list(zip(flood.sent_s, flood.latency_s, flood.status, strict=True))
    for status, name in ((200, "answered"), (429, "refused")):
        some = [(sent, latency) for sent, latency, found in points if found == status]
        axes.plot([x for x, _ in some], [y for _, y in some], ".", markersize=2, label=name)
    axes.axhline(inside / goodput_per_s(flood), color="gray", label="queue and engine / rate")
    axes.set(xlabel="sent, s", ylabel="latency, s", yscale="log")
    axes.legend(loc="center right", fontsize=7)


if __name__ == "__main__":
    main()
