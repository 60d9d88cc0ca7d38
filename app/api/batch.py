"""`POST /segment/batch`: many pictures in, one line for each out, in order of completion."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from app.body import read_parts
from app.caller import note_pictures
from app.error_answers import note_error
from app.limits import deadline, read_timeout_ms
from app.many import check_count, gate
from app.multipart import Part
from app.ndjson import error_line, result_line
from app.openapi import BATCH_REQUEST, BATCH_RESPONSE, PROTOCOL_RESPONSES
from app.parameters import Parameters, read_parameters
from app.served_model import ServedModel
from app.service import SegmentationService
from model.errors import InvalidParameterError


async def _admission(request: Request) -> AsyncIterator[AsyncExitStack]:
    """Be one request in work until the last line is sent; gives what ends then too."""
    async with request.app.state.admission(), AsyncExitStack() as until_sent:
        yield until_sent


UntilSent = Annotated[AsyncExitStack, Depends(_admission)]


router = APIRouter(tags=["Segmentation"], responses=PROTOCOL_RESPONSES)


@router.post(
    "/segment/batch",
    summary="Segment many pictures",
    response_class=Response,
    responses={200: BATCH_RESPONSE},
    openapi_extra=BATCH_REQUEST,
)
async def segment_batch(request: Request, until_sent: UntilSent) -> StreamingResponse:
    """Send a form with many parts `image`; a picture that cannot be answered fails alone."""
    state: Any = request.app.state
    service: SegmentationService = state.service
    timeout_ms = read_timeout_ms(
        request.headers.get("X-Request-Timeout-Ms"), state.settings.request_timeout_ms
    )
    async with deadline(timeout_ms) as deadline_s:
        body = await request.body()
        images, parameters = await service.compute(_read, request, body)
        model = await until_sent.enter_async_context(service.using(parameters.model))
    check_count(len(images), state.settings.max_pictures_per_request)
    note_pictures(len(images))
    service.check(model, parameters, deadline_s)
    request.state.mode = parameters.mode or ""
    lines = _lines(request, model, images, parameters, deadline_s)
    return StreamingResponse(lines, media_type="application/x-ndjson")


def _read(request: Request, body: bytes) -> tuple[Sequence[Part], Parameters]:
    images, fields = read_parts(request.headers.get("Content-Type"), body)
    parameters = read_parameters(request.query_params.multi_items(), fields)
    if parameters.format not in (None, "json"):
        raise InvalidParameterError(f"expected format=json for lines, got {parameters.format}")
    return images, parameters


async def _lines(
    request: Request,
    model: ServedModel,
    images: Sequence[Part],
    parameters: Parameters,
    deadline_s: float,
) -> AsyncIterator[bytes]:
    """The line of each picture as soon as it is ready; whoever stops listening ends the work."""
    service: SegmentationService = request.app.state.service
    turns = gate(model, request.app.state.settings.max_queue)

    async def line(index: int, image: Part) -> bytes:
        try:
            left_ms = max(1.0, 1000 * (deadline_s - time.monotonic()))
            async with deadline(left_ms), turns:
                answer = await service.segment(model, bytes(image.data), parameters, deadline_s)
        except Exception as error:
            shown = note_error(request, error)
            return error_line(index, image.file_name, shown, request.state.request_id)
        return result_line(index, image.file_name, answer.body)

    tasks = [asyncio.ensure_future(line(i, image)) for i, image in enumerate(images)]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
