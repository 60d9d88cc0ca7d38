"""The routes that Vertex AI names to a container by `AIP_PREDICT_ROUTE` and `AIP_HEALTH_ROUTE`."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admitted import admitted
from app.api.sagemaker import ping
from app.caller import note_pictures
from app.limits import unless_client_leaves
from app.many import all_or_none, gate
from app.openapi import PROTOCOL_RESPONSES, VERTEX_REQUEST
from app.schemas import PredictionsAnswer
from app.service import SegmentationService
from app.settings import Settings
from app.vertex import read_instances, write_predictions


def vertex_router(settings: Settings) -> APIRouter:
    """The routes that the settings name; none where they name none."""
    router = APIRouter(tags=["Vertex AI"], responses=PROTOCOL_RESPONSES)
    if settings.vertex_health_route is not None:
        router.get(
            settings.vertex_health_route,
            summary="Whether requests are welcome",
            response_class=Response,
        )(ping)
    if settings.vertex_predict_route is not None:
        router.post(
            settings.vertex_predict_route,
            summary="Segment pictures, all or none",
            response_model=PredictionsAnswer,
            openapi_extra=VERTEX_REQUEST,
        )(predict)
    return router


async def predict(request: Request) -> Response:
    """Send pictures as base64 in `instances`, and what is asked for in `parameters`."""
    service: SegmentationService = request.app.state.service
    settings: Settings = request.app.state.settings
    async with admitted(request) as deadline_s:
        images, parameters = await service.compute(
            read_instances, await request.body(), settings.max_pictures_per_request
        )
        note_pictures(len(images))
        async with service.using(parameters.model) as model:
            service.check(model, parameters, deadline_s)
            turns = gate(model, settings.max_queue)

            async def one(image: bytes) -> bytes:
                async with turns:
                    return (await service.segment(model, image, parameters, deadline_s)).body

            answers = await unless_client_leaves(request.receive, all_or_none(one, images))
    return Response(write_predictions(answers), media_type="application/json")
