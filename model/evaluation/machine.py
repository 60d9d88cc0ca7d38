"""Where a measurement was made: the processor and the versions that decide a speed."""

import importlib.metadata
import os
import platform
from pathlib import Path

from model.inference.engines.cores import usable_cores

_LIBRARIES = ("numpy", "pillow", "numba", "openvino", "onnxruntime", "onnxruntime-gpu", "torch")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8")


def describe_machine() -> dict[str, str]:
    """Processor, what it can multiply natively, usable cores, memory, load, versions."""
    info = _read("/proc/cpuinfo")
    flags = info.partition("flags\t\t:")[2].partition("\n")[0].split()
    memory_kb = _read("/proc/meminfo").partition("MemTotal:")[2].split()
    about = {
        "cpu": info.partition("model name\t:")[2].partition("\n")[0].strip() or platform.machine(),
        "cpu_flags": " ".join(flag for flag in _CPU_FLAGS if flag in flags),
        "cores": str(usable_cores()),
        "memory_gib": f"{int(memory_kb[0]) / 2**20:.0f}" if memory_kb else "unknown",
        "load_average": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    return about | versions(_LIBRARIES)


def versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """The installed ones among them."""
    found = {}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
