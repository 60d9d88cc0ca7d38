"""How many cases, run how; what every one of them is held to besides its property."""

import faulthandler
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

# Of each property: in the normal run, in the slow one.
CASES = {
    "decode": (150, 30_000),
    "multipart": (150, 20_000),
    "oip": (150, 20_000),
    "rle": (150, 20_000),
    "http": (100, 10_000),
    "openapi": (40, 2_000),
}
# hypothesis remembers the cases of a run, so that long ones grow: many short ones do not.
_RUN_CASES = 1000
# A case takes milliseconds, here and there some hundred; what takes so long hangs.
_HANG_S = 60
# Caches fill in the first part; what then still grows by this much would not end.
_WARM_UP = 0.3
_GROWTH_MB = 48

counted: dict[str, int] = {}


def sizes(name: str) -> pytest.MarkDecorator:
    """Parametrise a test with its two numbers of cases."""
    quick, slow = CASES[name]
    many = pytest.param(slow, marks=pytest.mark.slow)
    return pytest.mark.parametrize("cases", [quick, many], ids=["quick", "many"])


def fuzz(
    name: str,
    strategy: SearchStrategy[Any],
    check: Callable[[Any], None],
    cases: int,
    first_seed: int = 0,
) -> None:
    """Check so many drawn values; none may hang, and memory must not grow with them.

    Args:
        name: key of `CASES`, under which they are counted.
        strategy: draws the values.
        check: the property.
        cases: how many.
        first_seed: others draw others.
    """
    warm_mb: float | None = None
    for done in range(0, cases, _RUN_CASES):
        if warm_mb is None and done >= _WARM_UP * cases:
            warm_mb = resident_mb()
        here = min(_RUN_CASES, cases - done)
        _run(name, strategy, check, here, first_seed + done // _RUN_CASES)
    if warm_mb is not None and cases > _RUN_CASES:
        grown_mb = resident_mb() - warm_mb
        assert grown_mb < _GROWTH_MB, f"{grown_mb:.0f} MB more after {cases} cases"


def _run(
    name: str, strategy: SearchStrategy[Any], check: Callable[[Any], None], cases: int, start: int
) -> None:
    def counting(value: Any) -> None:
        counted[name] = counted.get(name, 0) + 1
        check(value)

    run = settings(
        max_examples=cases,
        deadline=1000 * _HANG_S,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )(seed(start)(given(strategy)(counting)))
    faulthandler.dump_traceback_later(cases * 1 + 5 * _HANG_S, exit=True)
    try:
        run()
    finally:
        faulthandler.cancel_dump_traceback_later()


def resident_mb() -> float:
    """Memory of this process, in 2^20 bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 2**20
