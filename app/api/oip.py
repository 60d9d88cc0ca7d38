"""The Open Inference Protocol, version 2: what KServe and Triton's clients call."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from app.admitted import admitted
from app.errors import ModelNotFoundError, UnsupportedOperationError
from app.limits import deadline, unless_client_leaves
from app.oip.describe import (
    describe_config,
    describe_server,
    describe_statistics,
    describe_tensors,
)
from app.oip.infer import VERSION, infer, read_inference, write_answer
from app.openapi import OIP_INFER, PROTOCOL_RESPONSES
from app.served_model import ServedModel
from app.service import SegmentationService

router = APIRouter(prefix="/v2", tags=["open inference protocol"], responses=PROTOCOL_RESPONSES)

_MODEL = "/models/{name}"
# The same again; OpenAPI shows each route once.
_VERSION = "/models/{name}/versions/{version}"


def _service(request: Request) -> SegmentationService:
    service: SegmentationService = request.app.state.service
    return service


def _model(request: Request, name: str) -> ServedModel:
    """The model that the path names; its version, where there is one, must be ours."""
    version = request.path_params.get("version", VERSION)
    if version != VERSION:
        raise ModelNotFoundError(f"expected version {VERSION} of {name!r:.80}, got {version!r:.60}")
    return _service(request).find(name)


Service = Annotated[SegmentationService, Depends(_service)]
Model = Annotated[ServedModel, Depends(_model)]


@router.get("", summary="Name, version and extensions of the server")
async def server() -> JSONResponse:
    """Answer what this server is."""
    return JSONResponse(describe_server())


@router.get("/health/live", summary="Whether the process lives")
async def live() -> JSONResponse:
    """Answer 200 as long as the event loop turns."""
    return JSONResponse({"live": True})


@router.get("/health/ready", summary="Whether requests are welcome")
async def ready(service: Service) -> JSONResponse:
    """Answer 200 once every model has answered a first picture, 503 while draining."""
    service.check_ready()
    return JSONResponse({"ready": True})


@router.get("/models", summary="Names of the loaded models")
async def models(service: Service) -> JSONResponse:
    """Answer with the names, the default first."""
    return JSONResponse({"models": [model.name for model in service.models]})


@router.get("/models/stats", summary="Statistics of all models")
async def all_statistics(request: Request, service: Service) -> JSONResponse:
    """Answer with counts and times since the start."""
    metrics = request.app.state.metrics
    stats = [describe_statistics(model, metrics) for model in service.models]
    return JSONResponse({"model_stats": stats})


@router.get(_MODEL, summary="Inputs and outputs of a model")
@router.get(_VERSION, include_in_schema=False)
async def metadata(model: Model) -> JSONResponse:
    """Answer with names, datatypes and shapes."""
    return JSONResponse(describe_tensors(model))


@router.get(_MODEL + "/ready", summary="Whether a model answers")
@router.get(_VERSION + "/ready", include_in_schema=False)
async def model_ready(service: Service, model: Model) -> JSONResponse:
    """Answer 200 once the model has answered a first picture."""
    service.check_ready()
    return JSONResponse({"name": model.name, "ready": True})


@router.get(_MODEL + "/config", summary="Configuration of a model")
@router.get(_VERSION + "/config", include_in_schema=False)
async def config(model: Model) -> JSONResponse:
    """Answer in the form of Triton's model configuration."""
    return JSONResponse(describe_config(model))


@router.get(_MODEL + "/stats", summary="Statistics of a model")
@router.get(_VERSION + "/stats", include_in_schema=False)
async def statistics(request: Request, model: Model) -> JSONResponse:
    """Answer with counts and times since the start."""
    return JSONResponse({"model_stats": [describe_statistics(model, request.app.state.metrics)]})


@router.post("/repository/index", summary="The models at hand, in Triton's form")
async def index(service: Service) -> JSONResponse:
    """Answer with the loaded models; the body, if any, is not read."""
    rows = [{"name": m.name, "version": VERSION, "state": "READY"} for m in service.models]
    return JSONResponse([row | {"reason": ""} for row in rows])


@router.post("/repository/models/{name}/load", summary="Load a model, if it is not loaded")
async def load(request: Request, model: Model) -> JSONResponse:
    """Answer 200 for a loaded model: models come and go with the process."""
    if await request.body() not in (b"", b"{}"):
        raise UnsupportedOperationError(
            f"expected no configuration for the loaded model {model.name!r}, got one"
        )
    return JSONResponse({})


@router.post("/repository/models/{name}/unload", summary="Refused: models stay loaded")
async def unload(model: Model) -> JSONResponse:
    """Answer 501."""
    raise UnsupportedOperationError(
        f"expected {model.name!r} to stay loaded as long as the process lives, got an unload; "
        "MASKFORMER_MODELS chooses the models"
    )


@router.post(_MODEL + "/infer", summary="Segment pictures", openapi_extra=OIP_INFER)
@router.post(_VERSION + "/infer", include_in_schema=False)
async def infer_pictures(request: Request, service: Service, model: Model) -> Response:
    """Send pictures as the input `image`, as BYTES [N] or UINT8 [N, height, width, 3]."""
    settings: Any = request.app.state.settings
    async with admitted(request) as deadline_s:
        body, headers = await request.body(), dict(request.headers)
        asked = await service.compute(read_inference, body, headers, model, settings)
        request.state.mode = asked.parameters.mode
        async with deadline(asked.timeout_ms or settings.request_timeout_ms) as sooner_s:
            work = infer(service, asked, min(deadline_s, sooner_s), settings)
            tensors = await unless_client_leaves(request.receive, work)
            answer, headers = await service.compute(write_answer, asked, model, tensors)
    return Response(answer, headers=headers)
