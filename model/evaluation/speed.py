"""How fast a model is on this machine: its engines side by side, and where a picture's time goes.

Everything that is compared is run in turn, round after round in one process: a machine's speed
drifts, and what is compared must drift together. Medians are reported.
"""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import ParamSpec, TypeVar

import numpy as np

from model.artifact import Artifact
from model.errors import EngineError
from model.inference.decode import decode
from model.inference.encode import map_png, rle_counts, rle_strings
from model.inference.engine import Engine
from model.inference.engines import ENGINES, load_engine
from model.inference.preprocess import preprocess
from model.inference.segmenter import Segmenter
from model.structures import Sample, Segmentation

P = ParamSpec("P")
T = TypeVar("T")
Name = TypeVar("Name", bound=Hashable)

_PRECISIONS = ("bfloat16", "float32", "int8")
_LEAST_ROUNDS = 3
_RUNS_PER_SLOT = 3  # of one round with all slots busy; the very first one still runs alone


@dataclass(frozen=True)
class EngineSpeed:
    """One engine at one precision.

    Attributes:
        engine: its name.
        device: where it ran.
        precision: of its matrix products.
        slots: runs in flight for `pictures_per_s`.
        batch: pictures of one run.
        alone_ms: median time of one run while nothing else runs.
        pictures_per_s: median with all slots busy.
    """

    engine: str
    device: str
    precision: str
    slots: int
    batch: int
    alone_ms: float
    pictures_per_s: float


@dataclass(frozen=True)
class StageTime:
    """One stage of a picture's journey, median milliseconds of one caller alone."""

    stage: str
    ms: float


def in_turn(
    contenders: Mapping[Name, Callable[[], object]],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Time functions round by round, each once a round, after one run each that does not count.

    Args:
        contenders: by name.
        seconds: rounds go on until so much time is used; at least three are made.
        clock: in seconds; `time.thread_time` for work of the calling thread alone.

    Returns:
        per name, the seconds of each round.
    """
    for run in contenders.values():
        run()
    times: dict[Name, list[float]] = {name: [] for name in contenders}
    ends_s = time.perf_counter() + seconds
    rounds = 0
    while rounds < _LEAST_ROUNDS or time.perf_counter() < ends_s:
        for name, run in contenders.items():
            started_s = clock()
            run()
            times[name].append(clock() - started_s)
        rounds += 1
    return times


def load_engines(artifact: Artifact) -> tuple[list[Engine], list[str]]:
    """Every engine and precision that this machine and this model have.

    Returns:
        the engines; and one sentence for each engine of which no precision could be had.
    """
    engines: list[Engine] = []
    reasons = []
    for name in ENGINES:
        refused = []
        for precision in _PRECISIONS:
            try:
                engines.append(load_engine(artifact, name, precision=precision))
            except EngineError as error:
                refused.append(f"{name}: {error}")
        if len(refused) == len(_PRECISIONS):
            reasons.append(refused[0])
    return engines, reasons


def measure_engines(
    engines: Sequence[Engine], sample: Sample, seconds: float, batch: int = 1
) -> list[EngineSpeed]:
    """Latency alone and throughput with all slots busy, all engines in turn.

    Args:
        engines: loaded.
        sample: the picture that all of them run.
        seconds: for the rounds of all engines together.
        batch: pictures of one run, at most every engine's `max_batch`.

    Raises:
        EngineError: one of them failed.
    """
    pixels = np.repeat(sample.pixels[None], batch, axis=0)
    contenders: dict[tuple[int, str], Callable[[], object]] = {}
    for index, engine in enumerate(engines):
        contenders[index, "alone"] = partial(engine.run, pixels)
        if engine.slots > 1:
            contenders[index, "busy"] = partial(run_together, engine, pixels, _busy_runs(engine))
    times = in_turn(contenders, seconds)

    def per_s(index: int, engine: Engine) -> float:
        if engine.slots == 1:
            return batch / median(times[index, "alone"])
        return _busy_runs(engine) * batch / median(times[index, "busy"])

    return [
        EngineSpeed(
            engine.name,
            engine.device,
            engine.precision,
            engine.slots,
            batch,
            alone_ms=1000 * median(times[index, "alone"]),
            pictures_per_s=per_s(index, engine),
        )
        for index, engine in enumerate(engines)
    ]


def _busy_runs(engine: Engine) -> int:
    return _RUNS_PER_SLOT * engine.slots


def run_together(engine: Engine, pixels: np.ndarray, runs: int) -> None:
    """So many runs of one batch, from as many threads as the engine has slots."""
    with ThreadPoolExecutor(engine.slots) as pool:
        for future in [pool.submit(engine.run, pixels) for _ in range(runs)]:
            future.result()


def measure_stages(
    segmenter: Segmenter, pictures: Sequence[bytes], seconds: float
) -> list[StageTime]:
    """Where the time of a picture goes, from bytes to bytes, one caller alone.

    Args:
        segmenter: the model on the engine that serves it.
        pictures: encoded; all are run in turn, medians are over them and the rounds.
        seconds: for all rounds; one is made at least.
    """
    times: dict[str, list[float]] = {}
    _one_journey(segmenter, pictures[0], {})
    ends_s = time.perf_counter() + seconds
    while not times or time.perf_counter() < ends_s:
        for picture in pictures:
            _one_journey(segmenter, picture, times)
    return [StageTime(stage, 1000 * median(some)) for stage, some in times.items()]


def _one_journey(segmenter: Segmenter, picture: bytes, times: dict[str, list[float]]) -> None:
    """Run all stages on one picture, noting the seconds of each."""
    manifest = segmenter.artifact.manifest

    def timed(stage: str, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        started_s = time.perf_counter()
        result = run(*args, **kwargs)
        times.setdefault(stage, []).append(time.perf_counter() - started_s)
        return result

    rgb = timed("decode", decode, picture, segmenter.limits)
    sample = timed("preprocess", preprocess, rgb, manifest.preprocessing)
    (raw,) = timed("infer", segmenter.infer, [sample])
    for mode in manifest.modes:
        answer = timed(f"postprocess {mode}", segmenter.finish, raw, sample, mode)
        timed(f"encode {mode} png", map_png, answer, manifest.taxonomy.classes)
        timed(f"encode {mode} rle", _rle_strings, answer)


def _rle_strings(answer: Segmentation) -> list[str]:
    return rle_strings(rle_counts(answer))
