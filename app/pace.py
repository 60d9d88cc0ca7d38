"""How fast an engine has been lately, and from that: who can still be answered in time?"""

import time
from collections.abc import Collection

from app.errors import OverloadedError
from app.inference_queue import whole_seconds
from app.runs import Kind
from app.ticket import Ticket

# Weight of the newest batch in the running means; chosen, not tuned.
_NEWEST = 0.2
# Of the time that is left, waiting and inference may be expected to take so much; the rest is for
# a rate that sinks meanwhile, and for writing the answer. Chosen, not tuned.
_MOST_OF_TIME = 0.75
# Padded sizes whose times are remembered; above what any model's limits allow.
_MAX_SIZES = 10_000


class Pace:
    """Running means of an engine's times; belongs to one thread at a time.

    Before the first run all times are 0, so nobody is turned away for a guess. Batches of different
    sizes are kept apart, and the best counts: under load they are full, and what they could do is
    known after the first one.

    Args:
        slots: batches that run at once.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._any_run_s = 0.0
        self._picture_s: dict[int, float] = {}
        self._runs_s: dict[tuple[int, int], dict[int, float]] = {}

    @property
    def seconds_per_picture(self) -> float:
        """Of all slots together, in the best batches."""
        return min(self._picture_s.values(), default=0.0) / self._slots

    def measure(self, kind: Kind, run_s: float) -> None:
        """Note what a run took that neither compiled nor waited for a compiler."""
        pictures, *padded_hw = kind
        size = padded_hw[0], padded_hw[1]
        if len(self._runs_s) >= _MAX_SIZES:
            self._runs_s.clear()
        runs_s = self._runs_s.setdefault(size, {})
        runs_s[pictures] = _mean(runs_s.get(pictures, 0.0), run_s)
        self._picture_s[pictures] = _mean(self._picture_s.get(pictures, 0.0), run_s / pictures)
        self._any_run_s = _mean(self._any_run_s, run_s)

    def run_s(self, padded_hw: tuple[int, int]) -> float:
        """What the shortest run of this size takes; 0 for a size that has not been seen."""
        return min(self._runs_s.get(padded_hw, {}).values(), default=0.0)

    def hopeless(self, waiting: Collection[Ticket]) -> list[Ticket]:
        """Those whose time is too short for a run of their size.

        If that is everyone of a size, the first is left: it may show that runs are short again.
        """
        now_s = time.monotonic()
        late = [t for t in waiting if t.deadline_s < now_s + self.run_s(t.sample.padded_hw)]
        if not late:
            return late
        tried = {ticket.sample.padded_hw for ticket in set(waiting).difference(late)}
        hopeless = []
        for ticket in late:
            if ticket.sample.padded_hw in tried:
                hopeless.append(ticket)
            tried.add(ticket.sample.padded_hw)
        return hopeless

    def needed_s(self, ahead: int) -> float:
        """How long a picture is likely to wait and run.

        0 for one that is next: it is always let in, so that there is always something to measure.

        Args:
            ahead: pictures that wait and are due before it.
        """
        # Under way is half a run on average; its own comes last.
        return ahead * self.seconds_per_picture + 1.5 * self._any_run_s if ahead else 0.0


def check_time(needed_s: float, deadline_s: float) -> None:
    """Refuse a picture whose time would be over before its answer.

    Args:
        needed_s: see `Pace.needed_s`.
        deadline_s: on the clock of `time.monotonic`; one that has passed is not for this check.

    Raises:
        OverloadedError: the time is too short; it would do once those who wait now are through.
    """
    left_s = deadline_s - time.monotonic()
    if 0 < _MOST_OF_TIME * left_s < needed_s:
        raise OverloadedError(
            f"expected a deadline in {needed_s / _MOST_OF_TIME:.1f} s at least, because of the "
            f"pictures that wait, got one in {left_s:.1f} s",
            whole_seconds(needed_s),
        )


def _mean(mean: float, newest: float) -> float:
    """The running mean with one more number; the first one is the mean of itself."""
    return newest if mean == 0 else mean + _NEWEST * (newest - mean)
