"""The Open Inference Protocol, version 2: what KServe and Triton's clients call."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from app.admitted import admitted
from app.body import read_object
from app.caller import note_pictures, prefer
from app.errors import UnsupportedOperationError
from app.limits import deadline, unless_client_leaves
from app.model_control import may_change_models
from app.oip.describe import (
    describe_config,
    describe_server,
    describe_state,
    describe_statistics,
    describe_tensors,
)
from app.oip.infer import infer, read_inference, write_answer
from app.openapi import OIP_INFER, PROTOCOL_RESPONSES
from app.served_model import ServedModel
from app.service import SegmentationService

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], responses=PROTOCOL_RESPONSES)

_MODEL = "/models/{name}"
# The same again; OpenAPI shows each route once.
_VERSION = "/models/{name}/versions/{version}"


def _service(request: Request) -> SegmentationService:
    service: SegmentationService = request.app.state.service
    return service


def _name(request: Request, name: str) -> str:
    """What the path names, with its version where there is one."""
    version = request.path_params.get("version")
    return name if version is None else f"{name}@{version}"


Name = Annotated[str, Depends(_name)]


async def _model(request: Request, name: Name) -> AsyncIterator[ServedModel]:
    """The model that the path names, in use until the answer is sent."""
    async with AsyncExitStack() as stack:
        async with deadline(request.app.state.settings.request_timeout_ms):
            model = await stack.enter_async_context(_service(request).using(name))
        yield model


Service = Annotated[SegmentationService, Depends(_service)]
Model = Annotated[ServedModel, Depends(_model)]


@router.get("", summary="Name, version and extensions of the server")
async def server() -> JSONResponse:
    """Answer what this server is."""
    return JSONResponse(describe_server())


@router.get("/health/live", summary="Whether the process lives")
async def live(service: Service) -> JSONResponse:
    """Answer 200 while draining too; 503 once only a new process can help."""
    service.check_alive()
    return JSONResponse({"live": True})


@router.get("/health/ready", summary="Whether requests are welcome")
async def ready(service: Service) -> JSONResponse:
    """Answer 200 once every model has answered a first picture, 503 while draining."""
    service.check_ready()
    return JSONResponse({"ready": True})


@router.get("/models", summary="Names of the models")
async def models(service: Service) -> JSONResponse:
    """Answer with the names, the default first."""
    return JSONResponse({"models": service.store.names})


@router.get("/models/stats", summary="Statistics of all models")
async def all_statistics(request: Request, service: Service) -> JSONResponse:
    """Answer with counts and times since the start."""
    metrics = request.app.state.metrics
    stats = [describe_statistics(model, metrics) for model in service.models]
    return JSONResponse({"model_stats": stats})


@router.get(_MODEL, summary="Inputs and outputs of a model")
@router.get(_VERSION, include_in_schema=False)
async def metadata(service: Service, model: Model) -> JSONResponse:
    """Answer with names, datatypes and shapes."""
    states = await service.store.states(every=False)
    versions = [state.version for state in states if state.name == model.name]
    return JSONResponse(describe_tensors(model, versions))


@router.get(_MODEL + "/ready", summary="Whether a model answers")
@router.get(_VERSION + "/ready", include_in_schema=False)
async def model_ready(service: Service, name: Name) -> JSONResponse:
    """Answer 200 while the model is loaded and has answered a first picture."""
    service.check_ready()
    return JSONResponse({"name": service.find(name).name, "ready": True})


@router.get(_MODEL + "/config", summary="Configuration of a model")
@router.get(_VERSION + "/config", include_in_schema=False)
async def config(model: Model) -> JSONResponse:
    """Answer in the form of Triton's model configuration."""
    return JSONResponse(describe_config(model))


@router.get(_MODEL + "/stats", summary="Statistics of a model")
@router.get(_VERSION + "/stats", include_in_schema=False)
async def statistics(request: Request, service: Service, name: Name) -> JSONResponse:
    """Answer with counts and times since the start."""
    stats = describe_statistics(service.find(name), request.app.state.metrics)
    return JSONResponse({"model_stats": [stats]})


@router.post("/repository/index", summary="The models at hand, in Triton's form")
async def index(request: Request, service: Service) -> JSONResponse:
    """Answer with each version of each model; `{"ready": true}` asks for those loaded alone."""
    body = await request.body()
    only_ready = bool(body.strip()) and read_object(body).get("ready") is True
    every = request.app.state.settings.allow_model_control
    states = await service.store.states(every=every)
    shown = [state for state in states if state.state == "ready" or not only_ready]
    return JSONResponse([describe_state(state) for state in shown])


@router.post(
    "/repository/models/{name}/load",
    summary="Load a model, or its changed folder",
    dependencies=[Depends(may_change_models)],
)
async def load(request: Request, service: Service, name: str) -> JSONResponse:
    """Answer 200 once the latest version in the model's folder answers."""
    body = await request.body()
    if body.strip() and read_object(body):
        raise UnsupportedOperationError(f"expected no configuration for {name[:60]!r}, got one")
    await service.store.load(name)
    return JSONResponse({})


@router.post(
    "/repository/models/{name}/unload",
    summary="Unload a model",
    dependencies=[Depends(may_change_models)],
)
async def unload(service: Service, name: str) -> JSONResponse:
    """Answer 200 once its last request is answered and its memory free."""
    await service.store.unload(name)
    return JSONResponse({})


@router.post(_MODEL + "/infer", summary="Segment pictures", openapi_extra=OIP_INFER)
@router.post(_VERSION + "/infer", include_in_schema=False)
async def infer_pictures(request: Request, service: Service, name: Name) -> Response:
    """Send pictures as the input `image`, as BYTES [N] or UINT8 [N, height, width, 3]."""
    settings: Any = request.app.state.settings
    async with admitted(request) as deadline_s, service.using(name) as model:
        body, headers = await request.body(), dict(request.headers)
        asked = await service.compute(read_inference, body, headers, model, settings)
        request.state.mode = asked.parameters.mode
        if asked.priority is not None:
            prefer(asked.priority)
        note_pictures(len(asked.pictures))
        async with deadline(asked.timeout_ms or settings.request_timeout_ms) as sooner_s:
            work = infer(service, model, asked, min(deadline_s, sooner_s), settings)
            tensors = await unless_client_leaves(request.receive, work)
            answer, headers = await service.compute(write_answer, asked, model, tensors)
    return Response(answer, headers=headers)
