"""The simulated queues do what queueing theory and the service's rules say."""

import numpy as np
import pytest

from benchmarks._replicas import ANSWERED, BINS, EXPIRED, FIRST_S, GROWTH, REFUSED, Fleet, Replica
from benchmarks.capacity import (
    CALM_TICKS,
    LAG_TICKS,
    TICK_S,
    Rule,
    _Autoscaler,
    quantile,
    simulate,
    spike_curve,
    summary,
)

ONE = Replica(
    slots=1, max_batch=1, batch_s=0, picture_s=1, max_queue=64, deadline_s=1e9, start_s=60
)


def serve(replica: Replica, arrivals_s: list[float], ready: int = 1) -> Fleet:
    fleet = Fleet(replica, ready)
    picks = np.zeros(len(arrivals_s), np.int64)
    fleet.serve(np.array(arrivals_s, np.float64), picks, ready, True)
    fleet.advance(np.inf)
    return fleet


def test_one_slot_waits_as_long_as_theory_says() -> None:
    random = np.random.default_rng(0)
    fleet = serve(ONE, np.cumsum(random.exponential(2.0, 40_000)).tolist())
    middles_s = FIRST_S * GROWTH ** (np.arange(BINS) + 0.5)
    mean_s = (fleet.latencies * middles_s).sum() / fleet.latencies.sum()
    load = 0.5  # Pollaczek and Khinchine, service of one length
    assert mean_s == pytest.approx(1 + load / (2 * (1 - load)), rel=0.05)


@pytest.mark.parametrize(
    ("max_queue", "deadline_s", "answered_refused_expired"),
    [
        (3, 1e9, [4, 2, 0]),  # one runs, three wait
        (64, 2.5, [2, 4, 0]),  # one ahead, half a run and its own are more than 3/4 of 2.5 s
        (64, 0.5, [0, 0, 6]),  # whoever is next is tried
    ],
)
def test_who_finds_no_place_or_would_be_late_is_refused(
    max_queue: int, deadline_s: float, answered_refused_expired: list[int]
) -> None:
    small = Replica(**{**vars(ONE), "max_queue": max_queue, "deadline_s": deadline_s})
    arrivals_s = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5] if deadline_s > 1 else np.arange(6.0).tolist()
    fleet = serve(small, arrivals_s)
    found = fleet.outcomes[[ANSWERED, REFUSED, EXPIRED]].tolist()
    assert found == answered_refused_expired


def test_those_who_wait_share_a_batch() -> None:
    batching = Replica(**{**vars(ONE), "max_batch": 4, "batch_s": 1.0, "picture_s": 0.5})
    assert batching.rate_per_s == pytest.approx(4 / 3)
    fleet = serve(batching, [0.0, 0.1, 0.2, 0.3, 0.4])
    assert quantile(fleet.latencies, 0.2) == pytest.approx(1.5, rel=0.06)
    assert quantile(fleet.latencies, 1.0) == pytest.approx(1.5 + 3 - 0.1, rel=0.06)


def test_the_emptiest_replica_gets_the_next_request() -> None:
    assert serve(ONE, [0.0, 0.0, 0.0], ready=3).latencies.nonzero()[0].size == 1
    assert serve(ONE, [0.0, 0.0, 0.0], ready=1).latencies.nonzero()[0].size == 3


def test_the_autoscaler_doubles_late_and_shrinks_after_five_calm_minutes() -> None:
    scaler = _Autoscaler(Rule(least=1, most=64, target=2.0), ONE.start_s, 0.6, ONE)
    counts = []
    for tick in range(60):
        scaler.see(tick * TICK_S, 100 if tick < 10 else 0)
        counts.append(scaler.count)
    assert counts[: LAG_TICKS + 5] == [5, 10, 20, 40, 50, 50, 50]
    assert scaler.ready(0.0) == 1
    last_wish = 10 + LAG_TICKS - 1
    assert counts[last_wish + CALM_TICKS - 1] == 50
    assert counts[last_wish + CALM_TICKS] == 1


def test_the_autoscaler_keeps_what_it_began_with_for_five_minutes() -> None:
    scaler = _Autoscaler(Rule(least=1, most=64, target=2.0), ONE.start_s, 2.4, ONE)
    counts = []
    for tick in range(CALM_TICKS + 1):
        scaler.see(tick * TICK_S, 0)
        counts.append(scaler.count)
    assert counts == [4] * (CALM_TICKS - 1) + [1, 1]


def test_a_spike_is_accounted_for() -> None:
    outcome = simulate(ONE, Rule(4, 4, 0.0), lambda s: spike_curve(s, 1.0), 3600.0)
    assert outcome.outcomes.sum() == outcome.asked.sum()
    assert outcome.latencies.sum() == outcome.outcomes[ANSWERED]
    row = summary(outcome, price=0.5)
    assert row["mean"] == 4 and row["refused_percent"] == 0
    assert row["replica_hours_per_million"] == pytest.approx(4e6 / outcome.outcomes[ANSWERED])
    assert row["price_per_million"] == pytest.approx(row["replica_hours_per_million"] / 2)
