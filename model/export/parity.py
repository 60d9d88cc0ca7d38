"""Whether the exported graph says the same as the network it came from."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.artifact import Artifact
from model.errors import EngineError
from model.inference.engine import Engine
from model.inference.engines import load_engine

TOLERANCE = 1e-4  # of the largest logit; runtimes sum float32 products in different orders
GRAPH_ENGINES = ("openvino", "onnxruntime")


@dataclass(frozen=True)
class Difference:
    """How far one engine's answer lies from torch's, for one input.

    Attributes:
        engine: its name.
        batch: B.
        padded_hw: H and W.
        largest: largest difference of any class or mask logit, as a share of the output's
            largest absolute logit, or absolute where that is below 1.
    """

    engine: str
    batch: int
    padded_hw: tuple[int, int]
    largest: float


def check_parity(
    artifact: Artifact,
    engine_names: Sequence[str] = GRAPH_ENGINES,
    sizes_hw: Sequence[tuple[int, int]] = (),
    batches: Sequence[int] = (1, 2),
    tolerance: float = TOLERANCE,
) -> tuple[Difference, ...]:
    """Run the same random pictures through torch and through each engine, in float32.

    Args:
        artifact: with weights and an exported graph.
        engine_names: engines to compare with torch.
        sizes_hw: padded sizes to try, in pixels; default: three that this model's padding makes.
        batches: B of each run.
        tolerance: largest `Difference.largest` that passes.

    Returns:
        one row per engine, size and batch.

    Raises:
        EngineError: a difference exceeds the tolerance; it names the input.
        EngineUnavailableError: one of the engines is not here.
    """
    sizes_hw = sizes_hw or default_sizes_hw(artifact.manifest.preprocessing.pad_to_px)
    names = ("torch", *engine_names)
    engines = [load_engine(artifact, n, "cpu", "float32", max_batch=max(batches)) for n in names]
    random = np.random.default_rng(0)
    rows = []
    for height, width in sizes_hw:
        for batch in batches:
            pixels = random.standard_normal((batch, 3, height, width), np.float32)
            rows += _compare(engines[0], engines[1:], pixels)
    for engine in engines:
        engine.close()
    worst = max(rows, key=lambda row: row.largest)
    if not worst.largest <= tolerance:  # so that NaN fails too
        raise EngineError(
            f"expected {worst.engine} within {tolerance:g} of torch, got {worst.largest:g} "
            f"at batch {worst.batch} and size {worst.padded_hw}"
        )
    return tuple(rows)


def installed_engines() -> tuple[str, ...]:
    """Those of `GRAPH_ENGINES` whose library is here."""
    return tuple(name for name in GRAPH_ENGINES if importlib.util.find_spec(name))


def default_sizes_hw(pad_to_px: int) -> tuple[tuple[int, int], ...]:
    """Three sizes, upright, broad and small, rounded up to multiples of `pad_to_px`."""
    sides = ((131, 97), (90, 203), (33, 32))
    return tuple((_round_up(h, pad_to_px), _round_up(w, pad_to_px)) for h, w in sides)


def _compare(reference: Engine, engines: Sequence[Engine], pixels: np.ndarray) -> list[Difference]:
    expected = reference.run(pixels)
    batch, _, height, width = pixels.shape
    rows = []
    for engine in engines:
        largest = max(
            _difference(e, a)
            for e, a in zip(expected, engine.run(pixels), strict=True)
            if e is not None
        )
        rows.append(Difference(engine.name, batch, (height, width), largest))
    return rows


def _difference(expected: np.ndarray, actual: np.ndarray | None) -> float:
    if actual is None or actual.shape != expected.shape:
        shape = None if actual is None else actual.shape
        raise EngineError(f"expected an output {expected.shape} as torch gives, got {shape}")
    scale = max(1.0, float(np.abs(expected).max()))
    return float(np.abs(actual - expected).max()) / scale


def _round_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
