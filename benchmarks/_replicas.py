"""Replicas behind a load balancer, simulated request by request."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Latencies are counted in bins that grow by 5 %, from a millisecond to about 20 minutes.
BINS, FIRST_S, GROWTH = 288, 1e-3, 1.05
ANSWERED, REFUSED, EXPIRED = range(3)


@dataclass(frozen=True)
class Replica:
    """What one replica can do.

    Attributes:
        slots: batches that run at once.
        max_batch: pictures in a batch, at most.
        batch_s: seconds that a batch takes whatever its size.
        picture_s: seconds that each of its pictures adds.
        max_queue: pictures that wait; one more is refused, and so is one that would be too late.
        deadline_s: after which nobody wants the answer.
        start_s: from the autoscaler's decision until it is ready.
    """

    slots: int
    max_batch: int
    batch_s: float
    picture_s: float
    max_queue: int
    deadline_s: float
    start_s: float

    @property
    def rate_per_s(self) -> float:
        """Pictures per second at most."""
        return self.slots * self.max_batch / (self.batch_s + self.max_batch * self.picture_s)


class Fleet:
    """The replicas' queues and slots at one moment.

    Args:
        replica: what each of them can do.
        most: how many there can ever be.
    """

    def __init__(self, replica: Replica, most: int) -> None:
        self.replica = replica
        self._waiting_since_s = np.zeros((most, replica.max_queue))
        self._first = np.zeros(most, np.int64)
        self._queued = np.zeros(most, np.int64)
        self._free_s = np.zeros((most, replica.slots))
        self._running = np.zeros((most, replica.slots), np.int64)
        self.latencies = np.zeros(BINS, np.int64)
        self.outcomes = np.zeros(3, np.int64)

    def serve(
        self,
        arrivals_s: NDArray[np.float64],
        picks: NDArray[np.int64],
        ready: int,
        least: bool,
    ) -> None:
        """Let requests arrive, in order of time.

        Args:
            arrivals_s: (N,) float64.
            picks: (N,) int64, a random replica below `ready` for each.
            ready: how many replicas the balancer knows.
            least: whether it takes the replica with the fewest open requests; else that of `picks`.
        """
        _serve(arrivals_s, picks, ready, least, *self._numbers(), *self._state())

    def advance(self, now_s: float) -> int:
        """Go on to a time; the number of pictures that then wait or run."""
        return int(_advance_all(now_s, *self._numbers(), *self._state()))

    def _numbers(self) -> tuple[int, float, float, float]:
        replica = self.replica
        return replica.max_batch, replica.batch_s, replica.picture_s, replica.deadline_s

    def _state(self) -> tuple[NDArray[np.generic], ...]:
        return (
            self._waiting_since_s,
            self._first,
            self._queued,
            self._free_s,
            self._running,
            self.latencies,
            self.outcomes,
        )


@njit(cache=True)
def _advance(
    r, now_s, max_batch, batch_s, picture_s, deadline_s, since_s, first, queued, free_s, running,
    latencies, outcomes,
):  # fmt: skip
    """Start what replica r can start until now; the number of its open pictures."""
    places = since_s.shape[1]
    while queued[r] > 0:
        slot = np.argmin(free_s[r])
        begin_s = max(free_s[r, slot], since_s[r, first[r]])
        if begin_s > now_s:
            break
        taken, size = np.empty(max_batch), 0
        while queued[r] > 0 and size < max_batch and since_s[r, first[r]] <= begin_s:
            arrived_s = since_s[r, first[r]]
            first[r] = (first[r] + 1) % places
            queued[r] -= 1
            if begin_s > arrived_s + deadline_s:
                outcomes[EXPIRED] += 1
            else:
                taken[size] = arrived_s
                size += 1
        if size == 0:
            continue
        end_s = begin_s + batch_s + size * picture_s
        free_s[r, slot], running[r, slot] = end_s, size
        for i in range(size):
            late_s = end_s - taken[i]
            if late_s > deadline_s:
                outcomes[EXPIRED] += 1
                continue
            outcomes[ANSWERED] += 1
            place = int(np.log(max(late_s, FIRST_S) / FIRST_S) / np.log(GROWTH))
            latencies[min(place, BINS - 1)] += 1
    open_ = queued[r]
    for slot in range(free_s.shape[1]):
        if free_s[r, slot] > now_s:
            open_ += running[r, slot]
    return open_


@njit(cache=True)
def _advance_all(now_s, *numbers_and_state):
    total = 0
    for r in range(numbers_and_state[5].shape[0]):
        total += _advance(r, now_s, *numbers_and_state)
    return total


@njit(cache=True)
def _serve(
    arrivals_s, picks, ready, least, max_batch, batch_s, picture_s, deadline_s, since_s, first,
    queued, free_s, running, latencies, outcomes,
):  # fmt: skip
    places = since_s.shape[1]
    for now_s, chosen in zip(arrivals_s, picks):  # noqa: B905 - numba knows no `strict`
        fewest = np.iinfo(np.int64).max
        if least:
            begin = chosen  # ties go round
            for i in range(ready):
                r = (begin + i) % ready
                count = _advance(
                    r, now_s, max_batch, batch_s, picture_s, deadline_s, since_s, first, queued,
                    free_s, running, latencies, outcomes,
                )  # fmt: skip
                if count < fewest:
                    chosen, fewest = r, count
        else:
            _advance(
                chosen, now_s, max_batch, batch_s, picture_s, deadline_s, since_s, first, queued,
                free_s, running, latencies, outcomes,
            )  # fmt: skip
        # `app.pace`: those ahead, half a run under way and its own in three quarters of the time.
        run_s = batch_s + max_batch * picture_s
        ahead_s = queued[chosen] * run_s / (max_batch * free_s.shape[1])
        too_late = queued[chosen] > 0 and ahead_s + 1.5 * run_s > 0.75 * deadline_s
        if queued[chosen] >= places or too_late:
            outcomes[REFUSED] += 1
            continue
        since_s[chosen, (first[chosen] + queued[chosen]) % places] = now_s
        queued[chosen] += 1
