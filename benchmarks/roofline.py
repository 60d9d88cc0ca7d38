"""How far is the engine from what this machine could do at best?

    python -m benchmarks.roofline [--model FOLDER] [--seconds 30]

The floor is the network's multiplications and additions at the highest rate of a matrix product
measured here. Beside it: weights, input and output moved once, and every operator's result
written and read once, as if nothing were fused, at the measured copy rate. All in turn; every one,
our run of one picture too, has all cores.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._model import swin_tiny
from benchmarks._report import Row, pictures, read_arguments, report
from model.artifact import Artifact, load_artifact
from model.errors import EngineError
from model.evaluation.speed import in_turn
from model.inference.decode import decode
from model.inference.engine import Engine
from model.inference.engines import load_engine
from model.inference.preprocess import preprocess
from model.network.load import load_network

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
SIDES = ((1024, 1024, 1024), (2048, 2048, 2048), (6144, 384, 1536))  # the last is like Swin's
COPY_BYTES = 256 * 2**20  # far beyond the caches


class Traffic(TorchDispatchMode):
    """Counts the elements that operators write; a view writes none."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = {x.untyped_storage().data_ptr() for x in args if isinstance(x, torch.Tensor)}
        if isinstance(result, torch.Tensor) and result.untyped_storage().data_ptr() not in inputs:
            self.elements += result.numel()
        return result


def main() -> None:
    arguments = read_arguments(__doc__ or "", seconds=30)
    artifact = load_artifact(arguments.model) if arguments.model else swin_tiny()
    pixels = preprocess(decode(pictures()[0]), artifact.manifest.preprocessing).pixels[None]
    flop, weights, elements = count(artifact, pixels)
    engines = load_engines(artifact)
    source, target = np.ones(COPY_BYTES, np.uint8), np.zeros(COPY_BYTES, np.uint8)
    contenders: dict[tuple[str, str], Callable[[], object]] = {}
    contenders["copy", ""] = partial(np.copyto, target, source)
    for precision, engine in engines.items():
        for sides in SIDES:
            contenders[precision, str(sides)] = product(sides, PRECISIONS[precision])
        contenders[precision, "engine"] = partial(engine.run, pixels)
    times = {key: median(some) for key, some in in_turn(contenders, arguments.seconds).items()}
    bytes_per_s = 2 * COPY_BYTES / times["copy", ""]
    rows: list[Row] = []
    for precision in engines:
        rate = max(2 * a * b * c / times[precision, str((a, b, c))] for a, b, c in SIDES)
        each = 2 if precision == "bfloat16" else 4
        moved = each * (weights + pixels.size) / bytes_per_s
        floor_s, ours_s = flop / rate, times[precision, "engine"]
        rows.append(
            {
                "precision": precision,
                "matrix_product_gflop_per_s": rate / 1e9,
                "copy_gb_per_s": bytes_per_s / 1e9,
                "network_gflop": flop / 1e9,
                "floor_ms": 1000 * floor_s,
                "weights_moved_once_ms": 1000 * moved,
                "unfused_traffic_ms": 1000 * 2 * each * elements / bytes_per_s,
                "ours_ms": 1000 * ours_s,
                "share_of_rate_percent": 100 * floor_s / ours_s,
            }
        )
    report("roofline", arguments, {"roofline": rows}, pixels=list(pixels.shape))


def count(artifact: Artifact, pixels: np.ndarray) -> tuple[int, int, int]:
    """Of one run: floating point operations of all products, weights, elements written."""
    network = load_network(artifact).requires_grad_(False)  # the counter follows gradients
    with torch.inference_mode(), FlopCounterMode(display=False) as flops, Traffic() as traffic:
        network(torch.from_numpy(pixels))
    weights = sum(parameter.numel() for parameter in network.parameters())
    return flops.get_total_flops(), weights, traffic.elements


def load_engines(artifact: Artifact) -> dict[str, Engine]:
    """The default engine at every precision that it has here."""
    engines = {}
    for precision in PRECISIONS:
        try:
            engines[precision] = load_engine(artifact, precision=precision)
        except EngineError as error:
            print(f"not measured: {error}")
    return engines


def product(sides: tuple[int, int, int], dtype: torch.dtype) -> Callable[[], object]:
    """A matrix product (a, b) x (b, c)."""
    rows, inner, columns = sides
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    return partial(torch.mm, left, right)


if __name__ == "__main__":
    main()
