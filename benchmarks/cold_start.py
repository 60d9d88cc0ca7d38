"""How long from starting the process to the first answer?

    python -m benchmarks.cold_start [--seconds 40]

`first`: with empty cache folders, as on a new machine, for graphs and for what numba compiles;
`again`: with what the first start left there. Readiness is HTTP 200 from the server's own probe,
asked every 20 ms; the first answer is counted from there. Medians of the starts that fit in.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks._model import as_huggingface, swin_tiny
from benchmarks._report import ROOT, Row, pictures, read_arguments, report
from benchmarks._servers import Server, ours, peer
from model.artifact import load_artifact


def main() -> None:
    arguments = read_arguments(__doc__ or "", seconds=40)
    artifact = load_artifact(arguments.model) if arguments.model else swin_tiny()
    huggingface = as_huggingface(artifact)
    rows: list[Row] = []
    share_s = arguments.seconds / 4
    for model in (ROOT / "weights" / "scenes", artifact.folder):
        with tempfile.TemporaryDirectory() as cache:
            start = partial(ours, model, MASKFORMER_CACHE_DIR=cache, NUMBA_CACHE_DIR=cache)
            name = "the bundled model" if model.name == "scenes" else "Swin-T"
            rows.append(measure(f"ours, {name}, first", start, 0))
            rows.append(measure(f"ours, {name}, again", start, share_s))
    for framework in ("fastapi", "litserve"):
        start = partial(peer, framework, "float32", artifact, huggingface)
        rows.append(measure(f"{framework}, Swin-T, float32", start, share_s))
    report("cold_start", arguments, {"starts": rows})


def measure(who: str, start: Callable[[], Server], seconds: float) -> Row:
    """Start and end it until the time is used, at least once."""
    ready_s: list[float] = []
    answer_s: list[float] = []
    ends_s = time.perf_counter() + seconds
    while not ready_s or time.perf_counter() < ends_s:
        server = start()
        try:
            ready_s.append(server.ready_s)
            answer_s.append(server.ask(pictures()[0]))
        finally:
            server.end()
    return {
        "who": who,
        "starts": len(ready_s),
        "ready_s": median(ready_s),
        "first_answer_s": median(answer_s),
    }


if __name__ == "__main__":
    main()
