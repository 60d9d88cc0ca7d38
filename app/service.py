"""One request's journey, as one straight async function."""

import asyncio
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np

from app.answer import Answer, write_answer
from app.batcher import Batcher
from app.errors import ModelNotFoundError, NotReadyError
from app.metrics import Metrics
from app.parameters import Parameters
from app.schemas import ModelAnswer
from app.segmented import Segmented
from app.served_model import ServedModel, describe_model
from app.settings import Settings
from model.inference.segmenter import Picture, Segmenter

P = ParamSpec("P")
T = TypeVar("T")

# What the first, discarded picture of each model looks like; any size does.
_WARM_UP_HW = (480, 640)
_WARM_UP_TIMEOUT_S = 600.0


class SegmentationService:
    """Answers pictures with the loaded models.

    Args:
        segmenters: by name; the first is the default. They are closed with the service.
        settings: its limits, threads and delays are read here.
        metrics: told about every stage and batch.
    """

    def __init__(
        self, segmenters: Mapping[str, Segmenter], settings: Settings, metrics: Metrics
    ) -> None:
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(settings.cpu_threads, thread_name_prefix="cpu")
        self._models = {
            name: self._serve(name, segmenter, settings) for name, segmenter in segmenters.items()
        }
        self._ready = False

    async def segment(self, image: bytes, parameters: Parameters, deadline_s: float) -> Answer:
        """Answer one picture in the service's own form; see `answer`."""

        def write(done: Segmented) -> Answer:
            return write_answer(done.segmentation, done.model, image, parameters, done.timing_s)

        return await self.answer(image, parameters, deadline_s, write)

    async def answer(
        self,
        image: Picture,
        parameters: Parameters,
        deadline_s: float,
        write: Callable[[Segmented], T],
    ) -> T:
        """Answer one picture in any protocol.

        Args:
            image: encoded, or a (h, w, 3) uint8 RGB array within the limits.
            parameters: what is asked for.
            deadline_s: on the clock of `time.monotonic`; later the engine is not bothered.
            write: gives the answer its form; runs in the CPU pool.

        Raises:
            MaskFormerError: one of `app.errors.TABLE`.
        """
        model = self.find(parameters.model)
        with self._metrics.picture(model.name) as timing_s:
            self.check(parameters)
            asked = _asked(parameters, model)
            with _timed(timing_s, "prepare"):
                sample = await self.compute(model.segmenter.prepare, image)
            inference = await model.batcher.submit(sample, deadline_s)
            timing_s |= {"queue": inference.queue_s, "inference": inference.run_s}
            with _timed(timing_s, "postprocess"):
                segmentation = await self.compute(
                    model.segmenter.finish, inference.raw, sample, **asked
                )
            done = Segmented(model, image, sample, inference.raw, segmentation, timing_s)
            with _timed(timing_s, "encode"):
                return await self.compute(write, done)

    def check(self, parameters: Parameters) -> ServedModel:
        """Raise what `answer` would raise for any picture now, before work is spent.

        Returns:
            the model that would answer.

        Raises:
            MaskFormerError: the model or a wish is unknown, the queue full or closed.
        """
        model = self.find(parameters.model)
        model.segmenter.options(**_asked(parameters, model))
        model.batcher.check_room()
        return model

    async def compute(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run CPU work in the pool, away from the event loop; cancelled callers leave its queue."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(work, *args, **kwargs))

    def find(self, name: str | None) -> ServedModel:
        """The model of that name; None is the default.

        Raises:
            ModelNotFoundError: no loaded model has it.
        """
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise ModelNotFoundError(
                f"expected a model among {', '.join(self._models)}, got {name!r}"
            )
        return self._models[name]

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """All loaded models, the default first."""
        return tuple(self._models.values())

    def describe(self) -> list[ModelAnswer]:
        """All loaded models, the default first."""
        default = self.find(None)
        return [describe_model(model, model is default) for model in self._models.values()]

    def check_ready(self) -> None:
        """Raise unless every model has answered a first picture and nobody is draining us.

        Raises:
            NotReadyError: starting or shutting down.
        """
        if not self._ready:
            raise NotReadyError("expected a ready service, got one that starts or shuts down")

    def retry_after_s(self, requests: int) -> int:
        """Whole seconds in which so many requests are probably through, at the slowest model."""
        return max(model.batcher.retry_after_s(requests) for model in self._models.values())

    async def warm_up(self) -> None:
        """Send one picture through every model, then be ready.

        Raises:
            EngineError: a model fails on it; better now than on the first request.
        """
        picture = np.zeros((*_WARM_UP_HW, 3), np.uint8)
        for model in self._models.values():
            sample = await self.compute(model.segmenter.prepare, picture)
            inference = await model.batcher.submit(sample, time.monotonic() + _WARM_UP_TIMEOUT_S)
            await self.compute(model.segmenter.finish, inference.raw, sample)
            self._metrics.model_ready(model.name, model.segmenter.artifact.hash)
        self._ready = True

    def drain(self) -> None:
        """Tell probes that no more requests are welcome; those that come are still answered."""
        self._ready = False

    def close(self) -> None:
        """Finish what waits, then free threads and engines; blocks."""
        self.drain()
        for model in self._models.values():
            model.batcher.close()
            model.segmenter.close()
        self._pool.shutdown()

    def _serve(self, name: str, segmenter: Segmenter, settings: Settings) -> ServedModel:
        batcher = Batcher(
            segmenter.infer,
            slots=segmenter.engine.slots,
            max_batch=segmenter.engine.max_batch,
            max_queue=settings.max_queue,
            max_delay_s=settings.max_batch_delay_ms / 1000,
            on_release=functools.partial(self._metrics.batch_released, name),
        )
        self._metrics.model_loaded(name, segmenter.artifact.hash, lambda: batcher.queue_size)
        return ServedModel(name, segmenter, batcher)


def _asked(parameters: Parameters, model: ServedModel) -> dict[str, Any]:
    """The keyword arguments of `Segmenter.options` and `Segmenter.finish`."""
    return {
        "mode": parameters.mode,
        "score_threshold": parameters.score_threshold,
        "overlap_threshold": parameters.overlap_threshold,
        "mask_threshold": parameters.mask_threshold,
        "classes": model.class_names(parameters.classes),
    }


@contextmanager
def _timed(timing_s: dict[str, float], stage: str) -> Iterator[None]:
    """Note how long the body took, waiting for a thread included."""
    started_s = time.perf_counter()
    yield
    timing_s[stage] = time.perf_counter() - started_s
