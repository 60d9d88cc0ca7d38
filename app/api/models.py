"""What is loaded here."""

from fastapi import APIRouter, Request

from app.schemas import ModelsAnswer
from app.service import SegmentationService

router = APIRouter(tags=["models"])


@router.get("/models", summary="The loaded models, what they know and how they run")
async def models(request: Request) -> ModelsAnswer:
    """Answer with one entry per model, the default first."""
    service: SegmentationService = request.app.state.service
    return ModelsAnswer(models=service.describe())
