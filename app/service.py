"""One request's journey, as one straight async function."""

import asyncio
import contextvars
import functools
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, ParamSpec, TypeVar

from app.answer import Answer, write_answer
from app.caller import has_several, turn_of_caller
from app.errors import NotReadyError
from app.loading import load_segmenter
from app.metrics import Metrics
from app.model_store import ModelStore, OpenQueue
from app.parameters import Parameters
from app.preparing import Preparing
from app.segmented import Segmented
from app.served_model import ServedModel, open_batcher, warm_up
from app.settings import Settings
from app.tiles import TiledPictures
from app.timeline import Interval, PictureRecord, begin_picture
from app.turn import Priority, Turn
from model.inference.segmenter import Picture, Segmenter
from model.structures import Sample

P = ParamSpec("P")
T = TypeVar("T")


class SegmentationService:
    """Answers pictures with the loaded models.

    Args:
        segmenters: by name; the first is the default. They are closed with the service.
        settings: its limits, threads and delays are read here.
        metrics: told about every stage and batch.
        open_queue: gives the queue of a model, and models stay as they are; None puts a `Batcher`
            in front of an engine of this process.

    Attributes:
        store: of the models.
    """

    def __init__(
        self,
        segmenters: Mapping[str, Segmenter],
        settings: Settings,
        metrics: Metrics,
        open_queue: OpenQueue | None = None,
    ) -> None:
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(settings.cpu_threads, thread_name_prefix="cpu")
        self._preparing = Preparing(settings.cpu_threads, settings.max_queue)
        self.store = ModelStore(
            segmenters,
            settings,
            metrics,
            open_queue=open_queue
            or functools.partial(open_batcher, settings=settings, metrics=metrics),
            warm_up=functools.partial(warm_up, compute=self.compute),
            load=functools.partial(load_segmenter, settings=settings)
            if open_queue is None
            else None,
        )
        self._tiled = TiledPictures(self.compute, settings)
        self._ready = False

    async def segment(
        self, model: ServedModel, image: bytes, parameters: Parameters, deadline_s: float
    ) -> Answer:
        """Answer one picture in the service's own form; see `answer`."""

        def write(done: Segmented) -> Answer:
            return write_answer(done.segmentation, done.model, image, parameters, done.timing_s)

        return await self.answer(model, image, parameters, deadline_s, write)

    async def answer(
        self,
        model: ServedModel,
        image: Picture,
        parameters: Parameters,
        deadline_s: float,
        write: Callable[[Segmented], T],
    ) -> T:
        """Answer one picture in any protocol.

        Args:
            model: from `using`.
            image: encoded, or a (h, w, 3) uint8 RGB array within the limits.
            parameters: what is asked of it.
            deadline_s: on the clock of `time.monotonic`; later the engine is not bothered.
            write: gives the answer its form; runs in the CPU pool.

        Raises:
            MaskFormerError: one of `app.errors.TABLE`.
        """
        picture = begin_picture(model.label)
        with self._metrics.picture(picture):
            # A request of several was asked as a whole, and its own may be ahead of each other.
            needed_by_s = math.inf if has_several() else deadline_s
            self.check(model, parameters, needed_by_s)
            asked = _asked(parameters, model)
            seen = None
            if model.segmenter.window_edge_px(parameters.tile) is None:
                turn = turn_of_caller()
                sample = await self._prepare(model, image, picture, turn, needed_by_s)
                inference = await model.batcher.submit(
                    sample, deadline_s, picture.traceparent, turn
                )
                picture.add_inference(inference)
                seen = sample, inference.raw
                with picture.timed("postprocess"):
                    segmentation = await self.compute(
                        model.segmenter.finish, inference.raw, sample, **asked
                    )
            else:
                options = model.segmenter.options(**asked)
                segmentation = await self._tiled.segment(
                    model, image, parameters.tile, options, deadline_s, picture
                )
            done = Segmented(model, image, seen, segmentation, picture.timing_s)
            with picture.timed("encode"):
                return await self.compute(write, done)

    async def _prepare(
        self,
        model: ServedModel,
        image: Picture,
        picture: PictureRecord,
        turn: Turn,
        needed_by_s: float,
    ) -> Sample:
        """`Segmenter.prepare` in one trip to the pool, timed in its two parts.

        Raises:
            OverloadedError: see `Preparing`.
        """
        asked_s, segmenter = time.monotonic(), model.segmenter

        def prepare() -> tuple[Sample, float, float]:
            rgb = segmenter.read(image)
            decoded_s = time.monotonic()
            return segmenter.prepare(rgb), decoded_s, time.monotonic()

        try:
            async with self._preparing.one(model.batcher, turn, needed_by_s):
                sample, decoded_s, prepared_s = await self.compute(prepare)
        except BaseException:
            picture.add(Interval("decode", asked_s, time.monotonic()))
            raise
        picture.add(Interval("decode", asked_s, decoded_s))
        picture.add(Interval("preprocess", decoded_s, prepared_s))
        return sample

    def using(self, name: str | None) -> AbstractAsyncContextManager[ServedModel]:
        """The model of that name, from begin to end of a request; see `ModelStore.using`."""
        return self.store.using(name)

    def check(self, model: ServedModel, parameters: Parameters, deadline_s: float) -> None:
        """Raise what `answer` would raise for any picture now, before work is spent.

        Raises:
            MaskFormerError: a wish is unknown to the model, its queue is full, closed, or too long
                for the deadline.
        """
        model.segmenter.options(**_asked(parameters, model))
        is_whole = model.segmenter.window_edge_px(parameters.tile) is None
        usual: Priority = "interactive" if is_whole else "bulk"
        model.batcher.check_room(turn_of_caller(usual), deadline_s)

    async def compute(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run CPU work in the pool, away from the event loop; cancelled callers leave its queue."""
        loop = asyncio.get_running_loop()
        task = functools.partial(work, *args, **kwargs)
        within = contextvars.copy_context().run  # it has the request's time limit
        return await loop.run_in_executor(self._pool, within, task)

    def find(self, name: str | None) -> ServedModel:
        """A model that is loaded now; see `ModelStore.find`."""
        return self.store.find(name)

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """All loaded models, the default first."""
        return self.store.models

    def check_ready(self) -> None:
        """Raise unless every model can answer and nobody is draining us.

        Raises:
            NotReadyError: starting or shutting down, or an engine process restarts.
            EngineError: see `check_alive`.
        """
        if not self._ready:
            raise NotReadyError("expected a ready service, got one that starts or shuts down")
        for model in self.models:
            model.batcher.check_open()

    def check_alive(self) -> None:
        """Raise when only a new process can help.

        Raises:
            EngineLostError: a model's device is gone for good.
            EngineTimeoutError: a batch hangs in an engine.
        """
        for model in self.models:
            model.batcher.check_alive()

    def retry_after_s(self, requests: int) -> int:
        """Whole seconds in which so many requests are probably through, at the slowest model."""
        return max(model.batcher.retry_after_s(requests) for model in self.models)

    async def warm_up(self) -> None:
        """Send one picture through every model, then be ready.

        Raises:
            EngineError: a model fails on it; better now than on the first request.
        """
        await self.store.start()
        self._ready = True

    def drain(self) -> None:
        """Tell probes that no more requests are welcome; those that come are still answered."""
        self._ready = False

    def close(self) -> None:
        """Finish what waits, then free threads and engines; blocks."""
        self.drain()
        self.store.close()
        self._pool.shutdown()


def _asked(parameters: Parameters, model: ServedModel) -> dict[str, Any]:
    """The keyword arguments of `Segmenter.options` and `Segmenter.finish`."""
    return {
        "mode": parameters.mode,
        "score_threshold": parameters.score_threshold,
        "overlap_threshold": parameters.overlap_threshold,
        "mask_threshold": parameters.mask_threshold,
        "classes": model.class_names(parameters.classes),
    }
