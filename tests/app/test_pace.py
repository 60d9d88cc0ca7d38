"""Who can still be answered in time, from the times measured so far."""

import math
import re
import time

import pytest

from app.errors import OverloadedError
from app.pace import Pace, check_time


def pace(run_s: float = 1.0, slots: int = 1, pictures: int = 1) -> Pace:
    made = Pace(slots)
    made.measure((pictures, 32, 32), run_s)
    return made


def refuses(needed_s: float, left_s: float) -> OverloadedError:
    with pytest.raises(OverloadedError) as error:
        check_time(needed_s, time.monotonic() + left_s)
    return error.value


def test_nobody_is_refused_before_the_first_run() -> None:
    unmeasured = Pace(1)
    assert unmeasured.needed_s(1000) == 0
    assert unmeasured.seconds_per_picture == unmeasured.run_s((32, 32)) == 0
    check_time(0, time.monotonic() + 0.001)


def test_seconds_per_picture_are_those_of_all_slots_and_pictures_of_a_batch() -> None:
    assert pace(run_s=8.0, slots=2, pictures=4).seconds_per_picture == 1.0


def test_a_new_time_moves_the_mean_by_a_fifth_and_sizes_are_apart() -> None:
    both = pace(run_s=1.0)
    both.measure((1, 32, 32), 2.0)
    both.measure((1, 64, 64), 7.0)
    assert both.run_s((32, 32)) == pytest.approx(1.2)
    assert both.run_s((64, 64)) == 7.0
    assert both.seconds_per_picture == pytest.approx(1.2 + 0.2 * (7.0 - 1.2))


def test_full_batches_say_what_the_engine_can_do() -> None:
    batching = pace(run_s=0.1, pictures=1)
    batching.measure((8, 32, 32), 0.16)
    assert batching.seconds_per_picture == pytest.approx(0.02)
    assert batching.run_s((32, 32)) == 0.1
    batching.measure((1, 32, 32), 0.2)
    assert batching.seconds_per_picture == pytest.approx(0.02)
    assert batching.run_s((32, 32)) == pytest.approx(0.12)


def test_those_ahead_half_a_run_and_its_own_are_needed() -> None:
    assert pace().needed_s(6) == 7.5
    assert pace(run_s=8.0, slots=2, pictures=4).needed_s(6) == 6 + 12


def test_whoever_is_next_is_never_refused() -> None:
    assert pace(run_s=100.0).needed_s(0) == 0


def test_three_quarters_of_the_time_must_be_enough() -> None:
    check_time(7.5, time.monotonic() + 10.1)
    error = refuses(7.5, left_s=9.9)
    assert error.retry_after_s == 8
    assert "expected a deadline in 10.0 s at least" in str(error)
    assert re.search(r"got one in 9\.[789] s", str(error))
    assert refuses(1000, left_s=1).retry_after_s == 60


def test_a_deadline_that_has_passed_is_no_overload() -> None:
    check_time(7.5, time.monotonic() - 0.1)


def test_without_a_deadline_nobody_is_refused() -> None:
    check_time(1e9, math.inf)
