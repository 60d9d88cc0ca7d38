"""What the processor gives this process: cores, fast arithmetic, memory."""

import math
import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/self/status")


def usable_cores(limit: Path = CGROUP_LIMIT) -> int:
    """Cores left by the affinity mask and by the container's CPU limit, at least 1.

    The runtimes see the machine's cores, not the container's quota, and would start too many
    threads.

    Args:
        limit: cgroup v2 file "quota period" in microseconds, or "max period"; may be absent.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = limit.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return cores or 1
    allowed = math.inf if quota == "max" else math.ceil(int(quota) / int(period))
    return max(1, int(min(cores or 1, allowed)))


def default_slots(threads: int) -> int:
    """Concurrent runs on a CPU: one per two threads, and two where there are two threads.

    Measured with 2.9 M parameters at 384 x 512 in bfloat16 on OpenVINO and 2 cores, milliseconds
    per picture: 2 slots of 1 thread 40, 1 slot of 2 threads 58, and that with a batch of four 54;
    a lone caller of the first waits 67. Beyond two cores this is chosen, not measured: half of
    the gain, for a lone caller who does not wait for a single thread.
    """
    return max(min(2, threads), threads // 2)


def multiplies_bfloat16_fast(info: Path = CPU_INFO) -> bool:
    """Whether a CPU that has bfloat16 arithmetic is faster with it than with float32.

    Intel's processors are so with AMX alone: with AVX512_BF16 and no AMX, OpenVINO takes 1308 ms
    of processor time for a run of Swin-T at 512 x 512 in bfloat16 and 1079 ms in float32 (one
    thread, medians in turn). Of other makers' nothing was measured; their own word is taken.

    Args:
        info: Linux's description of the processors; where it is absent, the same holds.
    """
    try:
        words = set(info.read_text(encoding="utf-8").split())
    except OSError:
        return True
    return "GenuineIntel" not in words or "amx_bf16" in words


def resident_mb(info: Path = MEMORY_INFO) -> float:
    """Memory that this process holds now, in 2^20 bytes; 0 where the system does not tell.

    Args:
        info: Linux's description of the process.
    """
    try:
        lines = info.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
