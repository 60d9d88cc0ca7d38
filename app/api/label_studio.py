"""A Label Studio machine learning backend, to be connected as `http://host:8000/label-studio`."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.admitted import admitted
from app.body import read_object
from app.caller import note_pictures
from app.error_answers import note_error
from app.errors import UrlFetchError
from app.label_studio import (
    Task,
    has_address,
    load_image,
    read_control,
    read_tasks,
    write_prediction,
)
from app.limits import unless_client_leaves
from app.many import all_or_none, gate
from app.openapi import LABEL_STUDIO_PREDICT, PROTOCOL_RESPONSES
from app.segmented import Segmented
from app.service import SegmentationService
from app.settings import Settings
from app.url_fetch import UrlFetcher
from model.errors import ImageError

router = APIRouter(prefix="/label-studio", tags=["Label Studio"], responses=PROTOCOL_RESPONSES)


@router.get("/health", summary="Whether the backend lives")
@router.get("", include_in_schema=False)
@router.get("/", include_in_schema=False)
async def health() -> JSONResponse:
    """Answer 200 as long as the event loop turns; Label Studio waits for one second."""
    return JSONResponse({"status": "UP", "model_class": "MaskFormer"})


@router.post("/setup", summary="Check a project's labelling configuration")
async def setup(request: Request) -> JSONResponse:
    """Answer with the model's version, or say what the configuration lacks."""
    service: SegmentationService = request.app.state.service
    read_control(read_object(await request.body()).get("schema"))
    return JSONResponse({"model_version": service.find(None).hash})


@router.get("/versions", summary="The version that answers")
async def versions(request: Request) -> JSONResponse:
    """Answer with a list of one."""
    service: SegmentationService = request.app.state.service
    return JSONResponse({"versions": [service.find(None).hash]})


@router.post("/webhook", status_code=201, summary="Take note of an event; nothing is trained")
async def webhook() -> JSONResponse:
    """Answer 201."""
    return JSONResponse({}, 201)


@router.post("/predict", summary="Predict brush masks", openapi_extra=LABEL_STUDIO_PREDICT)
async def predict(request: Request) -> Response:
    """Answer with one prediction per task; a broken picture gets an empty one."""
    service: SegmentationService = request.app.state.service
    settings: Settings = request.app.state.settings
    async with admitted(request) as deadline_s, service.using(None) as model:
        value = await service.compute(read_object, await request.body())
        control = read_control(value.get("label_config"))
        request.state.mode = control.parameters.mode or ""
        turns = gate(model, settings.max_queue)

        async def one(task: Task) -> dict[str, Any]:
            def write(done: Segmented) -> dict[str, Any]:
                return write_prediction(done, control, task)

            try:
                async with turns:
                    image = await _load(request, task)
                    return await service.answer(model, image, control.parameters, deadline_s, write)
            except (ImageError, UrlFetchError) as error:
                note_error(request, error)
                return {"result": [], "model_version": model.hash}

        tasks = read_tasks(value, control)
        note_pictures(len(tasks))
        if tasks:
            service.check(model, control.parameters, deadline_s)
        work = all_or_none(one, tasks)
        results = await unless_client_leaves(request.receive, work)
        return await service.compute(JSONResponse, {"results": results})


async def _load(request: Request, task: Task) -> bytes:
    """The encoded picture of a task; addresses are fetched where the settings name hosts."""
    settings: Settings = request.app.state.settings
    if settings.url_hosts and has_address(task):
        fetcher: UrlFetcher = request.app.state.url_fetcher
        return await fetcher.fetch(task.image)
    service: SegmentationService = request.app.state.service
    return await service.compute(
        load_image, task, settings.label_studio_media_dir, settings.max_image_bytes
    )
