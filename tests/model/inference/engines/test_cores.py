import os
from pathlib import Path

import pytest

from model.inference.engines.cores import (
    default_slots,
    multiplies_bfloat16_fast,
    resident_mb,
    usable_cores,
)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("nonsense", 8),
    ],
)
def test_a_container_s_limit_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text(limit, encoding="utf-8")
    assert usable_cores(tmp_path / "cpu.max") == expected
    assert usable_cores(tmp_path / "absent") == 8


def test_slots_never_exceed_threads() -> None:
    assert [default_slots(threads) for threads in (1, 2, 3, 4, 8, 16)] == [1, 2, 2, 2, 4, 8]


@pytest.mark.parametrize(
    ("words", "is_fast"),
    [
        ("GenuineIntel avx512_bf16 amx_bf16 amx_tile", True),
        ("GenuineIntel avx512_bf16", False),
        ("AuthenticAMD avx512_bf16", True),
    ],
)
def test_bfloat16_of_intel_is_fast_with_amx(tmp_path: Path, words: str, is_fast: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {words}\n", encoding="utf-8")
    assert multiplies_bfloat16_fast(tmp_path / "cpuinfo") is is_fast
    assert multiplies_bfloat16_fast(tmp_path / "absent")


def test_memory_is_read_where_the_system_tells(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmPeak:\t 9 kB\nVmRSS:\t    5120 kB\n", encoding="utf-8")
    assert resident_mb(tmp_path / "status") == 5
    assert resident_mb(tmp_path / "absent") == 0
