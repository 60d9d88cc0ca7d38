"""How fast an engine has been lately, and from that: who can still be answered in time?"""

import time

from app.errors import OverloadedError
from app.inference_queue import whole_seconds
from app.runs import Kind

# Weight of the newest batch in the running means; chosen, not tuned.
_NEWEST = 0.2
# Of the time that is left, waiting and inference may be expected to take so much; the rest is for
# a rate that sinks meanwhile, and for writing the answer. Chosen, not tuned.
_MOST_OF_TIME = 0.75
# Padded sizes whose times are remembered; above what any model's limits allow.
_MAX_SIZES = 10_000


class Pace:
    """Running means of an engine's times; belongs to one thread at a time.

    Before the first run all times are 0, so nobody is turned away for a guess.

    Args:
        slots: batches that run at once.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._picture_s = self._any_run_s = 0.0
        self._runs_s: dict[tuple[int, int], float] = {}

    @property
    def seconds_per_picture(self) -> float:
        """Of all slots together."""
        return self._picture_s / self._slots

    def measure(self, kind: Kind, run_s: float) -> None:
        """Note what a run took that had nothing to compile."""
        pictures, *padded_hw = kind
        size = padded_hw[0], padded_hw[1]
        if len(self._runs_s) >= _MAX_SIZES:
            self._runs_s.clear()
        self._picture_s = _mean(self._picture_s, run_s / pictures)
        self._any_run_s = _mean(self._any_run_s, run_s)
        self._runs_s[size] = _mean(self.run_s(size), run_s)

    def run_s(self, padded_hw: tuple[int, int]) -> float:
        """What a run of this size takes; 0 for one that has not been seen."""
        return self._runs_s.get(padded_hw, 0.0)

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
