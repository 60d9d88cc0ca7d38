"""The one place that counts and times; everything here ends in `GET /metrics`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    Summary,
    generate_latest,
)

from app.batcher import Release
from app.errors import row_of

STAGES = ("prepare", "queue", "inference", "postprocess", "encode")

# From one millisecond to the default deadline, a factor of 2 to 2.5 apart.
_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
    *(0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters, gauges and histograms of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "maskformer_requests",
            "Answered requests.",
            ["route", "mode", "code"],
            registry=self.registry,
        )
        self._failures = Counter(
            "maskformer_request_failures",
            "Requests that got no answer, by cause.",
            ["reason"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "maskformer_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._stages = {
            stage: Histogram(
                f"maskformer_{stage}_duration_seconds",
                f"Time of one picture in the stage `{stage}`.",
                ["model"],
                buckets=_SECONDS,
                registry=self.registry,
            )
            for stage in STAGES
        }
        self._failed_pictures = Summary(
            "maskformer_failed_picture_duration_seconds",
            "Time of one picture that got no answer.",
            ["model"],
            registry=self.registry,
        )
        self._last_answer = Gauge(
            "maskformer_last_answer_timestamp_seconds",
            "When a model last answered a picture, in Unix time.",
            ["model"],
            registry=self.registry,
        )
        self._inflight = Gauge(
            "maskformer_inflight_requests", "Requests in work.", registry=self.registry
        )
        self._queue_size = Gauge(
            "maskformer_queue_size",
            "Pictures that wait for a model's engine.",
            ["model"],
            registry=self.registry,
        )
        self._batch_size = Histogram(
            "maskformer_batch_size",
            "Pictures per batch.",
            ["model"],
            buckets=_BATCH_SIZES,
            registry=self.registry,
        )
        self._releases = Counter(
            "maskformer_batch_release",
            "Batches by the reason for which they started.",
            ["model", "reason"],
            registry=self.registry,
        )
        self._ready = Gauge(
            "maskformer_model_ready",
            "1 once the model has answered a first picture.",
            ["model", "hash"],
            registry=self.registry,
        )
        build = Gauge("maskformer_build_info", "Always 1.", ["version"], registry=self.registry)
        build.labels(package_version()).set(1)
        ProcessCollector(registry=self.registry)

    def model_loaded(self, model: str, model_hash: str, queue_size: Callable[[], int]) -> None:
        """Show a model that is not ready yet, and watch its queue."""
        self._ready.labels(model, model_hash).set(0)
        self._queue_size.labels(model).set_function(queue_size)

    def model_ready(self, model: str, model_hash: str) -> None:
        """Note that the model has answered a first picture."""
        self._ready.labels(model, model_hash).set(1)

    def batch_released(self, model: str, size: int, reason: Release) -> None:
        """Count one batch; called from an engine's thread."""
        self._batch_size.labels(model).observe(size)
        self._releases.labels(model, reason).inc()

    @contextmanager
    def picture(self, model: str) -> Iterator[dict[str, float]]:
        """Count one picture of a model, answered or failed.

        Gives a dict that the body fills with seconds per stage of `STAGES`; they count once the
        picture is answered.
        """
        started_s = time.perf_counter()
        timing_s: dict[str, float] = {}
        try:
            yield timing_s
        except BaseException:  # a caller that left counts too
            self._failed_pictures.labels(model).observe(time.perf_counter() - started_s)
            raise
        for stage, seconds in timing_s.items():
            self._stages[stage].labels(model).observe(seconds)
        self._last_answer.labels(model).set_to_current_time()

    def value(self, name: str, model: str) -> float:
        """The present value of a series of one model; 0 before its first event.

        Args:
            name: as `/metrics` shows it, without the prefix `maskformer_`.
            model: by the name that requests use.
        """
        return self.registry.get_sample_value(f"maskformer_{name}", {"model": model}) or 0.0

    def request_entered(self) -> None:
        """Count a request in."""
        self._inflight.inc()

    def request_left(self) -> None:
        """Count a request out, however it ended."""
        self._inflight.dec()

    def request_answered(self, route: str, mode: str, code: int, seconds: float) -> None:
        """Count and time one answer; `mode` is empty for routes that have none."""
        self._requests.labels(route, mode, str(code)).inc()
        self._durations.labels(route).observe(seconds)

    def request_failed(self, error: Exception) -> None:
        """Count a failure under its class's reason."""
        self._failures.labels(row_of(error).reason).inc()

    def exposition(self) -> bytes:
        """All of it in the Prometheus text format."""
        return generate_latest(self.registry)


def package_version() -> str:
    """The installed version of this package."""
    try:
        return version("maskformer-serving")
    except PackageNotFoundError:
        return "unknown"
