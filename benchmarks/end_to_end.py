"""How many answers a second, and how soon, over HTTP: our service, the bare engine, and peers.

    python -m benchmarks.end_to_end [--seconds 200]

The same checkpoint (Swin-T, 150 classes, shortest edge 512 px) behind every server, JPEG of 640x427
in, PNG of a semantic label map out. All servers are started first; then they take turns, round
after round, and whoever has no turn is stopped (SIGSTOP). Callers are a process of their own, each
with one request open at a time. The bare engine is ours, in this process, fed with prepared
pixels by as many threads as there are callers. `cpu` is the server's processor time per answer.
"""

import base64
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks._model import as_huggingface, swin_tiny
from benchmarks._report import Row, percentile, pictures, plot, read_arguments, report
from benchmarks._servers import Server, ours, peer
from model.artifact import Artifact, load_artifact
from model.inference.decode import decode
from model.inference.engine import Engine
from model.inference.engines import load_engine
from model.inference.preprocess import preprocess

OURS, BARE = "ours", "the bare engine"
PEERS = (
    ("fastapi", "float32"),
    ("litserve", "float32"),
    ("litserve", "bfloat16"),
    ("fastapi", "onnxruntime"),
)
AT_ONCE = 2  # servers that start beside each other
WARM_UP_S = 3.0  # at each load, not counted
ROUNDS, LEAST_ROUNDS = 3, 2
# Seconds of one turn relative to each other, by callers; peers take the loads (1, 4) only.
TURNS = {1: 1.0, 4: 2.0}
MORE_LOADS = {2: 1.0, 8: 1.0}


@dataclass
class Measured:
    """What one contender did at one load, over all its turns."""

    latencies_s: list[float] = field(default_factory=list)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, turn: Mapping[str, Any]) -> None:
        """Count one turn in."""
        self.latencies_s += turn["latencies_s"]
        self.elapsed_s += turn["elapsed_s"]
        self.cpu_s += turn["cpu_s"]
        self.failures += turn["failures"]


Turn = Callable[[int, float], Mapping[str, Any]]


def main() -> None:
    arguments = read_arguments(__doc__ or "", seconds=200)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server is left behind
    artifact = load_artifact(arguments.model) if arguments.model else swin_tiny()
    with tempfile.TemporaryDirectory() as folder, started(artifact, Path(folder)) as turns:
        measured, rounds = take_turns(turns, arguments.seconds)
    rows = summary(measured)
    failures = {f"{who} {n}": some.failures[:3] for (who, n), some in measured.items()}
    failures = {key: some for key, some in failures.items() if some}
    report("end_to_end", arguments, {"answers": rows}, rounds=rounds, failures=failures)
    plot(arguments, "end_to_end", partial(draw, rows), wide=True)


@contextmanager
def started(artifact: Artifact, folder: Path) -> Iterator[dict[str, Turn]]:
    """All contenders, each stopped until its turn."""
    bodies = write_bodies(folder)
    huggingface = as_huggingface(artifact)
    engine = load_engine(artifact)
    servers: list[Server] = []
    starts = {OURS: partial(ours, artifact.folder)}
    starts |= {f"{f}, {a}": partial(peer, f, a, artifact, huggingface) for f, a in PEERS}

    def open_turn(name: str) -> Turn:
        print(f"starting {name}", flush=True)
        server = starts[name]()
        servers.append(server)
        turn = partial(ask_server, server, bodies["json" if server.as_json else "jpg"])
        for callers in sorted(TURNS, reverse=True):  # first runs of a size take longer
            if failures := turn(callers, WARM_UP_S)["failures"]:
                raise RuntimeError(f"expected answers of {name}, got {failures[0]}")
        server.go_on()
        server.settle()
        server.pause()
        return turn

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            turns: dict[str, Turn] = dict(zip(starts, pool.map(open_turn, starts), strict=True))
        turns[BARE] = partial(ask_engine, engine, prepared(artifact))
        for callers in sorted(TURNS, reverse=True):
            turns[BARE](callers, WARM_UP_S)
        yield turns
    finally:
        for server in servers:
            server.end()
        engine.close()


def write_bodies(folder: Path) -> dict[str, list[Path]]:
    """Each picture as JPEG, and as base64 in JSON, in files."""
    bodies: dict[str, list[Path]] = {"jpg": [], "json": []}
    for index, picture in enumerate(pictures()):
        text = json.dumps({"image": base64.b64encode(picture).decode()})
        for kind, data in (("jpg", picture), ("json", text.encode())):
            path = folder / f"{index}.{kind}"
            path.write_bytes(data)
            bodies[kind].append(path)
    return bodies


def prepared(artifact: Artifact) -> list[np.ndarray]:
    """The pictures as batches of one."""
    config = artifact.manifest.preprocessing
    return [preprocess(decode(picture), config).pixels[None] for picture in pictures()]


def ask_server(
    server: Server, bodies: list[Path], callers: int, seconds: float
) -> Mapping[str, Any]:
    """One turn of one server; at least one request per caller."""
    server.go_on()
    before_s = server.cpu_s()
    files = ",".join(map(str, bodies))
    command = [sys.executable, "-m", "benchmarks._load"]
    command += [server.url, str(callers), str(max(seconds, 1e-3)), files]
    turn: Mapping[str, Any] = json.loads(subprocess.check_output(command))
    server.pause()
    return {**turn, "cpu_s": server.cpu_s() - before_s}


def ask_engine(
    engine: Engine, batches: list[np.ndarray], callers: int, seconds: float
) -> Mapping[str, Any]:
    """One turn of the bare engine."""
    latencies: list[float] = []
    started_s, before_s = time.perf_counter(), time.process_time()

    def call(first: int) -> None:
        for pixels in islice(cycle(batches), first, None):
            asked_s = time.perf_counter()
            engine.run(pixels)
            latencies.append(time.perf_counter() - asked_s)
            if time.perf_counter() >= started_s + seconds:
                return

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, range(callers)))
    return {
        "latencies_s": latencies,
        "elapsed_s": time.perf_counter() - started_s,
        "cpu_s": time.process_time() - before_s,
        "failures": [],
    }


def take_turns(
    turns: Mapping[str, Turn], seconds: float
) -> tuple[dict[tuple[str, int], Measured], int]:
    """Rounds over all contenders and loads, of about so many seconds together.

    Returns:
        what was measured by contender and load, and in how many rounds.
    """
    shares = {name: TURNS | (MORE_LOADS if name == OURS else {}) for name in turns}
    unit_s = seconds / ROUNDS / sum(sum(loads.values()) for loads in shares.values())
    measured = {(name, n): Measured() for name, loads in shares.items() for n in sorted(loads)}
    started_s = time.perf_counter()
    for number in range(ROUNDS):
        if number >= LEAST_ROUNDS and time.perf_counter() - started_s > seconds:
            return measured, number  # one request per caller takes longer than a turn here
        for (name, callers), found in measured.items():
            print(f"round {number + 1}: {name}, {callers} callers", flush=True)
            found.add(turns[name](callers, unit_s * shares[name][callers]))
    return measured, ROUNDS


def summary(measured: Mapping[tuple[str, int], Measured]) -> list[Row]:
    """One row per contender and load, beside the bare engine at the same load."""
    rates = {key: len(some.latencies_s) / some.elapsed_s for key, some in measured.items()}
    rows: list[Row] = []
    for (who, callers), some in measured.items():
        bare = measured.get((BARE, callers))
        p50 = median(some.latencies_s) if some.latencies_s else None
        rows.append(
            {
                "who": who,
                "callers": callers,
                "answers_per_s": rates[who, callers],
                "p50_ms": p50 and 1000 * p50,
                "p95_ms": p50 and 1000 * percentile(some.latencies_s, 0.95),
                "cpu_ms": p50 and 1000 * some.cpu_s / len(some.latencies_s),
                "failures": len(some.failures),
                "share_of_bare_rate": bare and rates[who, callers] / rates[BARE, callers],
                "times_bare_p50": bare and p50 and p50 / median(bare.latencies_s),
                "ours_is_faster_by": rates[OURS, callers] / rates[who, callers]
                if rates[who, callers]
                else None,
            }
        )
    return rows


def draw(rows: list[Row], axes: Any) -> None:
    """Latency against load: a line per contender, a point per number of callers."""
    for who in dict.fromkeys(row["who"] for row in rows):
        points = sorted((r["answers_per_s"], r["p50_ms"], r["callers"]) for r in rows
                        if r["who"] == who and r["p50_ms"])  # fmt: skip
        points.sort(key=lambda point: point[2])
        axes.plot([p[0] for p in points], [p[1] for p in points], "o-", label=who, markersize=4)
        for rate, latency, callers in points:
            axes.annotate(str(callers), (rate, latency), fontsize=7)
    axes.set(xscale="log", yscale="log", xlabel="answers per second (beside points: callers)")
    axes.set_ylabel("median latency, ms")
    axes.legend(fontsize=7)


if __name__ == "__main__":
    main()
