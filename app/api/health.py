"""Probes: alive, and able to answer."""

from fastapi import APIRouter, Request

from app.errors import NotReadyError, openapi_responses
from app.schemas import StatusAnswer
from app.service import SegmentationService

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Whether the process lives")
@router.get("/healthz", include_in_schema=False)
async def livez() -> StatusAnswer:
    """Answer 200 as long as the event loop turns, while draining too."""
    return StatusAnswer(status="live")


@router.get(
    "/readyz",
    summary="Whether requests are welcome",
    responses=openapi_responses(NotReadyError),
)
async def readyz(request: Request) -> StatusAnswer:
    """Answer 200 once every model has answered a first picture, 503 while draining."""
    service: SegmentationService = request.app.state.service
    service.check_ready()
    return StatusAnswer(status="ready")
