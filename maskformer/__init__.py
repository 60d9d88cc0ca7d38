"""MaskFormer for Python programs: load a model folder, segment pictures.

    from maskformer import Segmenter

    with Segmenter.load("weights/scenes") as segmenter:
        result = segmenter.segment(open("street.jpg", "rb").read(), mode="panoptic")
"""

from model.inference.segmenter import Segmenter
from model.structures import Segment, Segmentation

__all__ = ["Segment", "Segmentation", "Segmenter"]
