"""How many processor cores this process may really use, and how to share them out."""

import math
import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(limit: Path = CGROUP_LIMIT) -> int:
    """Cores left by the affinity mask and by the container's CPU limit, at least 1.

    The runtimes see the machine's cores, not the container's quota, and would start too many
    threads.

    Args:
        limit: cgroup v2 file "quota period" in microseconds, or "max period"; may be absent.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = limit.read_text().split()
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
