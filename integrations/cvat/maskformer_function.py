"""A CVAT auto-annotation function that asks a running MaskFormer service.

CVAT's own tools load this file; beside them it needs only what they bring (numpy, Pillow):

    cvat-cli task auto-annotate TASK --function-file maskformer_function.py -p url=str:http://localhost:8000
"""

import io
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import numpy as np
from cvat_sdk import models
from cvat_sdk.masks import encode_mask
from PIL import Image

# Longer than the service's default deadline, so that its own answer comes first.
_TIMEOUT_S = 60.0


class MaskFormerFunction:
    """A detection function as CVAT defines it.

    Attributes:
        spec: the classes of the model, as labels of masks.

    Args:
        url: of the service.
        model: one of its models; empty is its default.
        mode: panoptic, semantic or instance; empty is the model's default.
        api_key_file: holds the key that the service asks for; empty where it asks for none.
    """

    def __init__(self, url: str, model: str = "", mode: str = "", api_key_file: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {}
        if api_key_file:
            self._headers["X-API-Key"] = Path(api_key_file).read_text(encoding="utf-8").strip()
        described = self._find(model)
        self._mode = mode or described["default_mode"]
        self._model = described["name"]
        names = list(dict.fromkeys(entry["name"] for entry in described["classes"]))
        self._ids = {name: index for index, name in enumerate(names)}
        self.spec = cvataa.DetectionFunctionSpec(
            labels=[cvataa.label_spec(name, id_, type="mask") for name, id_ in self._ids.items()]
        )

    def detect(
        self, context: cvataa.DetectionFunctionContext, image: Image.Image
    ) -> list[models.LabeledShapeRequest]:
        """Annotate one picture with masks, or with outlines where CVAT wants polygons."""
        masks = "polygons" if context.conv_mask_to_poly else "rle_plain"
        query = {"model": self._model, "mode": self._mode, "masks": masks}
        if context.conf_threshold is not None and self._mode != "semantic":
            query["score_threshold"] = str(context.conf_threshold)
        answer = self._ask(f"/segment?{urllib.parse.urlencode(query)}", _png(image))
        hw = answer["height"], answer["width"]
        return [shape for segment in answer["segments"] for shape in self._shapes(segment, hw)]

    def _shapes(
        self, segment: dict[str, Any], hw: tuple[int, int]
    ) -> list[models.LabeledShapeRequest]:
        label = self._ids[segment["label"]]
        if "polygons" in segment:  # a polygon of CVAT has no holes
            rings = [ring["points"] for ring in segment["polygons"] if not ring["is_hole"]]
            return [cvataa.polygon(label, np.ravel(ring).astype(float).tolist()) for ring in rings]
        left, top, width, height = segment["bbox"]
        bitmap = _mask(segment["rle"]["counts"], hw)
        box = left, top, left + width, top + height
        return [cvataa.mask(label, encode_mask(bitmap, box))]

    def _find(self, name: str) -> dict[str, Any]:
        known: list[dict[str, Any]] = self._ask("/models")["models"]
        for model in known:
            if name == model["name"] or (not name and model["is_default"]):
                return model
        names = ", ".join(model["name"] for model in known)
        raise ValueError(f"expected a model among {names}, got {name!r}")

    def _ask(self, path: str, picture: bytes | None = None) -> Any:
        headers = self._headers | ({"Content-Type": "image/png"} if picture else {})
        request = urllib.request.Request(self._url + path, picture, headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{self._url} answered {error.code}: {_sentence(error)}") from error


def create(
    url: str = "http://localhost:8000", model: str = "", mode: str = "", api_key_file: str = ""
) -> MaskFormerFunction:
    """What CVAT calls, with its parameters; see `MaskFormerFunction`."""
    return MaskFormerFunction(url, model, mode, api_key_file)


def _mask(runs: list[int], hw: tuple[int, int]) -> np.ndarray:
    """The (h, w) bool mask of COCO run lengths: column by column, zeros first."""
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(hw[1], hw[0]).T


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return error.reason
