"""Stand-ins for tests: an engine whose answer follows from the pixels, and a model folder.

A picture painted with the class colours of `fake_artifact` comes back as exactly those classes,
pixel for pixel, as long as its blocks are aligned to 4 pixels:

    artifact = fake_artifact(tmp_path)
    picture = paint(artifact, [[0, 2], [1, 3]])          # 64 x 64, four blocks of 32 x 32
    Segmenter(artifact, FakeEngine()).segment(picture, mode="semantic").id_map - 1
"""

import io
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from model.artifact import Artifact, Manifest, save_manifest
from model.config import (
    ArchitectureConfig,
    ClassInfo,
    PostprocessingConfig,
    PreprocessingConfig,
    ResNetConfig,
    Taxonomy,
    TransformerDecoderConfig,
)

CLASSES = (
    ClassInfo(name="sky", category_id=10, is_thing=False, color=(0, 128, 255)),
    ClassInfo(name="road", category_id=20, is_thing=False, color=(128, 128, 128)),
    ClassInfo(name="car", category_id=30, is_thing=True, color=(255, 0, 0)),
    ClassInfo(name="person", category_id=40, is_thing=True, color=(0, 255, 0)),
)


class FakeEngine:
    """An engine (`model.inference.engine.Engine`) without a network; numpy only.

    Query q < 4 finds the pixels that look like class q of `CLASSES`; all further queries say
    no-object. Every picture of a batch is answered as if it were alone.

    Args:
        num_classes: K; classes beyond the four of `CLASSES` are never found.
        queries: Q.
        slots: as in the protocol.
        max_batch: as in the protocol; a larger batch is an AssertionError.
        delay_s: how long each `run` sleeps.
        fail: raised by each `run`; may be set and cleared between runs.
        class_logits: (Q, K+1), answered for every picture instead of what the pixels say.
        mask_logits: (Q, ceil(H/4), ceil(W/4)), likewise; alone = a per-pixel baseline.

    Attributes:
        shapes: the shape of each batch that came, in order.
        closed: whether `close` was called.
    """

    name = "fake"
    device = "CPU"
    precision = "float32"

    def __init__(
        self,
        num_classes: int = 4,
        queries: int = 8,
        *,
        slots: int = 1,
        max_batch: int = 4,
        delay_s: float = 0.0,
        fail: Exception | None = None,
        class_logits: np.ndarray | None = None,
        mask_logits: np.ndarray | None = None,
    ) -> None:
        self.num_classes, self.queries = num_classes, queries
        self.slots, self.max_batch = slots, max_batch
        self.delay_s, self.fail = delay_s, fail
        self.class_logits, self.mask_logits = class_logits, mask_logits
        self.shapes: list[tuple[int, ...]] = []
        self.closed = False

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        assert not self.closed, "run after close"
        assert 1 <= len(pixels) <= self.max_batch, f"batch of {len(pixels)}"
        assert pixels.dtype == np.float32
        assert pixels.ndim == 4
        self.shapes.append(pixels.shape)
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.fail is not None:
            raise self.fail
        if self.mask_logits is not None:
            masks = np.stack([self.mask_logits] * len(pixels)).astype(np.float32)
            if self.class_logits is None:
                return None, masks
            return np.stack([self.class_logits] * len(pixels)).astype(np.float32), masks
        return self._classes(len(pixels)), np.stack([self._masks(picture) for picture in pixels])

    def close(self) -> None:
        self.closed = True

    def _classes(self, batch: int) -> np.ndarray:
        """(B, Q, K+1): query q says class q with a probability of about 0.99."""
        logits = np.zeros((self.queries, self.num_classes + 1), np.float32)
        for query in range(self.queries):
            found = query < min(self.num_classes, len(CLASSES))
            logits[query, query if found else -1] = 8
        return np.stack([logits] * batch)

    def _masks(self, picture: np.ndarray) -> np.ndarray:
        """(Q, ceil(H/4), ceil(W/4)): +8 where a stride-4 cell has the class's colour, else -8."""
        cells = picture[:, ::4, ::4]
        masks = np.full((self.queries, *cells.shape[1:]), -8, np.float32)
        for query in range(min(self.num_classes, self.queries, len(CLASSES))):
            color = np.array(CLASSES[query].color, np.float32)[:, None, None] / 255
            near = np.abs(cells - color).max(axis=0) < 0.2
            masks[query, near] = 8
        return masks


def fake_manifest(
    *,
    classes: Sequence[ClassInfo] = CLASSES,
    queries: int = 8,
    kind: str = "maskformer",
    preprocessing: PreprocessingConfig | None = None,
    postprocessing: PostprocessingConfig | None = None,
) -> Manifest:
    """A manifest without files: pictures keep their size, pixels are scaled to [0, 1]."""
    decoder = TransformerDecoderConfig(queries=queries if kind == "maskformer" else len(classes))
    architecture = ArchitectureConfig.model_validate(
        {
            "kind": kind,
            "num_classes": len(classes),
            "backbone": ResNetConfig(),
            "transformer_decoder": None if kind == "per_pixel" else decoder,
        }
    )
    mode = "panoptic" if kind == "maskformer" and any(c.is_thing for c in classes) else "semantic"
    return Manifest(
        architecture=architecture,
        preprocessing=preprocessing
        or PreprocessingConfig(shortest_edge_px=None, mean=(0, 0, 0), std=(255, 255, 255)),
        postprocessing=postprocessing or PostprocessingConfig(mode=mode),
        taxonomy=Taxonomy(name="fake", classes=tuple(classes)),
        licence="CC0-1.0",
        source="made for tests",
    )


def fake_artifact(folder: Path, manifest: Manifest | None = None) -> Artifact:
    """Write a model folder without files and load it; `folder` is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return save_manifest(folder, manifest or fake_manifest())


def paint(artifact: Artifact, classes: Sequence[Sequence[int]], block_px: int = 32) -> np.ndarray:
    """(h, w, 3) uint8: one block of its colour per class index, rows of blocks top to bottom."""
    colors = np.array([c.color for c in artifact.manifest.taxonomy.classes], np.uint8)
    return colors[np.asarray(classes)].repeat(block_px, axis=0).repeat(block_px, axis=1)


def to_bytes(picture: np.ndarray, form: str = "PNG") -> bytes:
    """A picture as the bytes of a PNG, JPEG... file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form)
    return buffer.getvalue()
