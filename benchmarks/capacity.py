"""How many replicas does a load need? A simulation on measured service times.

    python -m benchmarks.capacity [--results FOLDER] [--peak 20] [--price 0.1]

Takes the rate of one replica from `end_to_end.json` and its start from `cold_start.json` (see
`make bench`), and lets requests arrive at random at N replicas behind a load balancer: a day whose
load swings between a fifth of its peak and the peak, and spikes to three times a quiet load within
seconds. The number of replicas is fixed, or follows the rule of the Kubernetes autoscaler on the
pictures that wait or run per replica. What a replica does with them is its queue's real rule:
bounded, in order, refused when it would be too late, expired ones never run. Measured: the service
times. Everything else here is simulated; a refused caller does not come back.
"""

import argparse
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.settings import Settings
from benchmarks._replicas import ANSWERED, EXPIRED, FIRST_S, GROWTH, REFUSED, Fleet, Replica
from benchmarks._report import RESULTS, Arguments, Row, plot, report

TICK_S = 15.0  # of the autoscaler, and of Prometheus
LAG_TICKS = 2  # from a picture that waits to the autoscaler's number
CALM_TICKS = 20  # the autoscaler's five minutes before it takes a replica away
SCHEDULING_S = 20.0  # a node is there and has the image
Rate = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Rule:
    """How many replicas there are.

    Attributes:
        least: of them.
        most: of them; a fixed number where both are equal.
        target: pictures waiting or running per replica that the autoscaler aims at.
        balanced: whether the balancer knows the open requests; else it picks at random.
    """

    least: int
    most: int
    target: float
    balanced: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of a load.

    Attributes:
        replicas: (T,) at every tick.
        asked: (T,) requests that arrived in it.
        latencies: (T, bins) of the answers in it.
        outcomes: (3,) answered, refused, expired.
    """

    replicas: NDArray[np.int64]
    asked: NDArray[np.int64]
    latencies: NDArray[np.int64]
    outcomes: NDArray[np.int64]


def main() -> None:
    arguments, peak_replicas, price = _read_arguments()
    replica = measured(arguments.output)
    peak = peak_replicas * 0.6 * replica.rate_per_s
    day, spike = partial(day_curve, peak_per_s=peak), partial(spike_curve, calm_per_s=peak / 6)
    loads: dict[str, tuple[Rate, float]] = {"day": (day, 86_400.0), "spike": (spike, 3_600.0)}
    rows, drawn = [], {}
    for load, (rate, seconds) in loads.items():
        for name, rule in rules(replica, peak_replicas).items():
            outcome = simulate(replica, rule, rate, seconds)
            rows.append({"load": load, "replicas": name, **summary(outcome, price)})
            drawn[load, name] = outcome
    tables = {"replicas": rows, "balancer": balancers(replica), "replica": [_facts(replica)]}
    report("capacity", arguments, tables, peak_per_s=peak, price_per_replica_hour=price)
    plot(arguments, "capacity", partial(draw, drawn["spike", "autoscaled, target 1 per slot"]))


def _read_arguments() -> tuple[Arguments, int, float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="of `make bench`")
    parser.add_argument("--peak", type=int, default=20, help="replicas that the peak would need")
    parser.add_argument("--price", type=float, default=0.1, help="of a replica for an hour")
    told = parser.parse_args()
    return Arguments(None, 0.0, told.results), told.peak, told.price


def measured(results: Path) -> Replica:
    """A replica as `make bench` measured it, with the settings it comes with.

    Raises:
        FileNotFoundError: there are no results.
    """
    answers = json.loads((results / "end_to_end.json").read_text(encoding="utf-8"))["tables"][
        "answers"
    ]
    ours = [row for row in answers if row["who"] == "ours"]
    rate_per_s = max(row["answers_per_s"] for row in ours)
    alone_s = min(row["p50_ms"] for row in ours if row["callers"] == 1) / 1000
    slots = max(1, round(rate_per_s * alone_s))
    starts = json.loads((results / "cold_start.json").read_text(encoding="utf-8"))["tables"][
        "starts"
    ]
    settings = Settings()
    return Replica(
        slots=slots,
        max_batch=1,
        batch_s=0.0,
        picture_s=slots / rate_per_s,
        max_queue=settings.max_queue,
        deadline_s=settings.request_timeout_ms / 1000,
        start_s=SCHEDULING_S + max(row["ready_s"] for row in starts),
    )


def rules(replica: Replica, peak_replicas: int) -> dict[str, Rule]:
    """What is compared: a fixed number, and the autoscaler with targets from eager to lazy."""
    slots, most = replica.slots, 4 * peak_replicas
    return {
        "fixed": Rule(peak_replicas, peak_replicas, 0.0),
        "autoscaled, target 1 per slot": Rule(2, most, 1.0 * slots),
        "autoscaled, target 2 per slot": Rule(2, most, 2.0 * slots),
        "autoscaled, target 4 per slot": Rule(2, most, 4.0 * slots),
    }


def day_curve(at_s: NDArray[np.float64], peak_per_s: float) -> NDArray[np.float64]:
    """Requests per second: a fifth of the peak in the night, the peak in the afternoon."""
    swing = (1 - np.cos(2 * np.pi * (at_s / 86_400 - 3 / 24))) / 2
    return peak_per_s * (0.2 + 0.8 * swing**1.5)


def spike_curve(at_s: NDArray[np.float64], calm_per_s: float) -> NDArray[np.float64]:
    """Requests per second: calm, but three times that from minute 20 to 35, up within 10 s."""
    up, down = (np.clip((at_s - minute * 60) / 10, 0, 1) for minute in (20, 35))
    return calm_per_s * (1 + 2 * (up - down))


def simulate(replica: Replica, rule: Rule, rate: Rate, seconds: float) -> Outcome:
    """Let a load arrive, tick by tick, and the autoscaler follow it."""
    random = np.random.default_rng(0)
    fleet = Fleet(replica, rule.most)
    scaler = _Autoscaler(rule, replica.start_s, float(rate(np.zeros(1))[0]), replica)
    ticks = int(seconds / TICK_S)
    asked, latencies, replicas = [], [], []
    for tick in range(ticks):
        begin_s = tick * TICK_S
        middle = rate(np.array([begin_s + TICK_S / 2]))[0]
        count = random.poisson(middle * TICK_S)
        arrivals_s = begin_s + TICK_S * np.sort(random.random(count))
        before = fleet.latencies.copy()
        ready = scaler.ready(begin_s)
        fleet.serve(arrivals_s, random.integers(ready, size=count), ready, rule.balanced)
        open_ = fleet.advance(begin_s + TICK_S)
        scaler.see(begin_s + TICK_S, open_)
        asked.append(count)
        latencies.append(fleet.latencies - before)
        replicas.append(scaler.count)
    fleet.advance(np.inf)
    latencies[-1] = latencies[-1] + fleet.latencies - sum(latencies)
    return Outcome(np.array(replicas), np.array(asked), np.array(latencies), fleet.outcomes)


class _Autoscaler:
    """The rule of a HorizontalPodAutoscaler on an average per pod.

    It wants ceil(total / target) replicas; ten percent off is near enough; at most doubles, or
    adds four, per tick; and takes away only what was too much for five minutes.
    """

    def __init__(self, rule: Rule, start_s: float, rate_per_s: float, replica: Replica) -> None:
        self._rule, self._start_s = rule, start_s
        first = ceil(rate_per_s / (0.6 * replica.rate_per_s))
        self.count = min(max(first, rule.least), rule.most)
        self._ready_at_s = [0.0] * self.count
        self._seen: deque[int] = deque(maxlen=LAG_TICKS + 1)
        # It has wanted what there is for as long as it remembers.
        self._wanted = deque([self.count] * CALM_TICKS, maxlen=CALM_TICKS)

    def ready(self, now_s: float) -> int:
        return max(1, sum(at_s <= now_s for at_s in self._ready_at_s))

    def see(self, now_s: float, open_: int) -> None:
        rule = self._rule
        self._seen.append(open_)
        if rule.least == rule.most:
            return
        load = self._seen[0] / (rule.target * self.count)
        wanted = self.count if abs(load - 1) <= 0.1 else ceil(self._seen[0] / rule.target)
        wanted = min(max(wanted, rule.least), rule.most, max(2 * self.count, self.count + 4))
        self._wanted.append(wanted)
        if wanted < self.count:
            wanted = min(self.count, max(self._wanted))
        self._ready_at_s = self._ready_at_s[:wanted]
        self._ready_at_s += [now_s + self._start_s] * (wanted - self.count)
        self.count = wanted


def summary(outcome: Outcome, price: float) -> Row:
    """What a load cost and how it was answered."""
    hours = outcome.replicas.sum() * TICK_S / 3600
    answered = outcome.outcomes[ANSWERED]
    total = max(1, outcome.outcomes.sum())
    return {
        "mean": float(outcome.replicas.mean()),
        "most": int(outcome.replicas.max()),
        "p50_s": quantile(outcome.latencies.sum(0), 0.5),
        "p99_s": quantile(outcome.latencies.sum(0), 0.99),
        "refused_percent": 100 * float(outcome.outcomes[REFUSED] / total),
        "expired_percent": 100 * float(outcome.outcomes[EXPIRED] / total),
        "replica_hours_per_million": float(1e6 * hours / max(1, answered)),
        "price_per_million": float(price * 1e6 * hours / max(1, answered)),
    }


def quantile(counts: NDArray[np.int64], share: float) -> float | None:
    """Seconds below which a share of the counted latencies lie; None where there are none."""
    if not counts.sum():
        return None
    place = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
    return FIRST_S * GROWTH ** (place + 1)


def balancers(replica: Replica) -> list[Row]:
    """Ten replicas at a steady load: what a balancer that knows the open requests is worth."""
    rows = []
    for load in (0.5, 0.7, 0.85, 0.95):
        row: Row = {"load_percent": 100 * load}
        steady = partial(np.full_like, fill_value=load * 10 * replica.rate_per_s)
        for name, balanced in (("fewest open", True), ("at random", False)):
            outcome = simulate(replica, Rule(10, 10, 0.0, balanced), steady, 1_800.0)
            counts = outcome.latencies.sum(0)
            row[f"p50, {name}_s"] = quantile(counts, 0.5)
            row[f"p99, {name}_s"] = quantile(counts, 0.99)
        rows.append(row)
    return rows


def _facts(replica: Replica) -> Row:
    return {
        "pictures_per_s": replica.rate_per_s,
        "slots": replica.slots,
        "picture_s": replica.picture_s,
        "max_queue": replica.max_queue,
        "deadline_s": replica.deadline_s,
        "start_s": replica.start_s,
    }


def draw(outcome: Outcome, axes: Any) -> None:
    """Load, replicas and p99 of a spike over time."""
    minutes = np.arange(len(outcome.asked)) * TICK_S / 60
    axes.plot(minutes, outcome.asked / TICK_S, label="requests/s", color="tab:gray")
    axes.plot(minutes, outcome.replicas, label="replicas", color="tab:blue", drawstyle="steps")
    slow = axes.twinx()
    p99 = [quantile(counts, 0.99) or np.nan for counts in outcome.latencies]
    slow.plot(minutes, p99, label="p99, s", color="tab:red")
    axes.set(xlabel="minute", ylabel="requests/s, replicas", ylim=(0, None))
    slow.set(ylabel="p99, s", ylim=(0, None))
    axes.legend(loc="upper left", frameon=False)
    slow.legend(loc="upper right", frameon=False)


if __name__ == "__main__":
    main()
