"""Procedurally drawn street and landscape scenes with exact panoptic ground truth."""

from __future__ import annotations

from .classes import CLASSES, SceneClass
from .render import draw_scene

__all__ = ["CLASSES", "SceneClass", "draw_scene"]
