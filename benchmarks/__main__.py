"""The CPU set: every benchmark in a process of its own, one after the other.

    python -m benchmarks [--output FOLDER]        # make bench

Its parts took eleven minutes together on two cores where a picture takes a second;
`python -m benchmarks.document` then writes the tables of `docs/performance.md`.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks._model import as_huggingface, swin_tiny
from benchmarks._report import RESULTS, ROOT

LIMIT_S = 600.0
# Each with the seconds it measures for; starting and loading come on top.
SECONDS = {
    "postprocess": 14,
    "roofline": 8,
    "engines": 20,
    "stages": 8,
    "encode": 12,
    "end_to_end": 110,
    "cold_start": 12,
    "memory": 0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS)
    output = parser.parse_args().output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    as_huggingface(swin_tiny())  # made before the clock starts
    started_s = time.perf_counter()
    for name, seconds in SECONDS.items():
        print(f"\n## {name}", flush=True)
        begun_s = time.perf_counter()
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        command += ["--seconds", str(seconds), "--output", str(output)]
        subprocess.run(command, check=True, cwd=ROOT)
        print(f"({name}: {time.perf_counter() - begun_s:.0f} s)", flush=True)
    total_s = time.perf_counter() - started_s
    print(f"\nall: {total_s:.0f} s, results in {output}")
    if total_s > LIMIT_S:
        print(f"expected at most {LIMIT_S:.0f} s; a busy or small machine takes longer")


if __name__ == "__main__":
    main()
