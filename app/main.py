"""The application: `create_app(settings)` and nothing at module level."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app.api import (
    batch,
    health,
    huggingface,
    label_studio,
    metrics,
    models,
    oip,
    sagemaker,
    segment,
)
from app.api.vertex import vertex_router
from app.error_answers import HANDLED, handle_error
from app.limits import Admission, BodyLimit
from app.loading import load_segmenters
from app.metrics import Metrics, package_version
from app.request_context import RequestContext
from app.service import SegmentationService
from app.settings import Settings
from model.inference.segmenter import Segmenter


def create_app(settings: Settings, segmenters: Mapping[str, Segmenter] | None = None) -> FastAPI:
    """Build the application; its models are loaded and warmed up when it starts.

    Args:
        settings: read here once.
        segmenters: by name, already loaded, the first is the default; None loads
            `settings.models`. The application closes them when it stops.
    """
    counted = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loaded = segmenters
        if loaded is None:
            loaded = await asyncio.to_thread(load_segmenters, settings)
        service = SegmentationService(loaded, settings, counted)
        app.state.service = service
        app.state.admission = Admission(settings.max_concurrent_requests, service.retry_after_s)
        try:
            await service.warm_up()
            yield
        finally:
            await asyncio.to_thread(service.close)

    app = FastAPIOffline(
        title="MaskFormer",
        summary="Semantic, panoptic and instance segmentation over HTTP.",
        version=package_version(),
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.settings, app.state.metrics = settings, counted
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(RequestContext, metrics=counted)  # added last = outermost
    for cls in HANDLED:
        app.add_exception_handler(cls, handle_error)
    app.include_router(vertex_router(settings))  # first: its paths may be those of other routes
    for api in (segment, batch, oip, huggingface, label_studio, sagemaker, models, health, metrics):
        app.include_router(api.router)
    return app
