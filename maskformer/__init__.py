"""MaskFormer for Python programs: load a model folder, segment pictures.

Example::

    with Segmenter.load("weights/scenes") as segmenter:
        result = segmenter.segment(Path("street.jpg").read_bytes(), mode="panoptic")
"""

from model.inference.segmenter import Segmenter
from model.structures import Segment, Segmentation

__all__ = ["Segment", "Segmentation", "Segmenter"]
