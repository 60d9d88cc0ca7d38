"""`POST /segment`: one picture in, its segments out."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import errors
from app.answer import Answer
from app.body import Body, read_body
from app.limits import Admission, deadline, read_timeout_ms, unless_client_leaves
from app.openapi import SEGMENT_REQUEST, SEGMENT_RESPONSE
from app.parameters import Parameters, read_parameters
from app.service import SegmentationService
from app.url_fetch import UrlFetcher

router = APIRouter(tags=["Segmentation"])

_NEVER_HERE = (
    errors.ApiKeyError,
    errors.ModelControlOffError,
    errors.DefaultModelError,
    errors.RouteNotFoundError,
    errors.MethodNotAllowedError,
    errors.UnsupportedOperationError,
    errors.ClientGoneError,
)


@router.post(
    "/segment",
    summary="Segment one picture",
    response_class=Response,
    responses=errors.openapi_responses(*(c for c in errors.TABLE if c not in _NEVER_HERE))
    | {200: SEGMENT_RESPONSE},
    openapi_extra=SEGMENT_REQUEST,
)
async def segment(request: Request) -> Response:
    """Send a picture as raw bytes, as the form field `image`, or as base64 in JSON."""
    state: Any = request.app.state
    service: SegmentationService = state.service
    admission: Admission = state.admission
    timeout_ms = read_timeout_ms(
        request.headers.get("X-Request-Timeout-Ms"), state.settings.request_timeout_ms
    )
    async with admission(), deadline(timeout_ms) as deadline_s:
        body = await request.body()
        read, parameters = await service.compute(_read, request, body)
        request.state.mode = parameters.mode or ""
        work = _answer(state, read, parameters, deadline_s)
        answer = await unless_client_leaves(request.receive, work)
    request.state.mode = answer.mode
    return Response(answer.body, headers=answer.headers, media_type=answer.media_type)


async def _answer(state: Any, read: Body, parameters: Parameters, deadline_s: float) -> Answer:
    """The answer for the picture of the body, or for the one behind its address."""
    service: SegmentationService = state.service
    image = read.image
    async with service.using(parameters.model) as model:
        if read.image_url is not None:
            service.check(model, parameters, deadline_s)
            fetcher: UrlFetcher = state.url_fetcher
            image = await fetcher.fetch(read.image_url)
        return await service.segment(model, image, parameters, deadline_s)


def _read(request: Request, body: bytes) -> tuple[Body, Parameters]:
    """The body taken apart and what is asked for; a large one takes its time, so in the pool."""
    read = read_body(request.headers.get("Content-Type"), body)
    query, accept = request.query_params.multi_items(), request.headers.get("Accept")
    return read, read_parameters(query, read.fields, accept)
