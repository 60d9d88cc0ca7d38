"""The seam between MaskFormer and the runtimes that execute it: one small protocol."""

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Runs batches of equal size through one model; immutable after load, safe to share.

    Attributes:
        name: `openvino`, `onnxruntime` or `torch`.
        device: where it runs, in the runtime's own words, for example `CPU` or `cuda:0`.
        precision: arithmetic of the matrix products: `float32`, `bfloat16`, `float16` or `int8`.
        slots: how many `run` calls may usefully be in flight at once, from as many threads.
        max_batch: the largest B that one call takes.
    """

    name: str
    device: str
    precision: str
    slots: int
    max_batch: int

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Run one batch.

        Args:
            pixels: (B, 3, H, W) float32, 1 <= B <= max_batch, prepared by `preprocess`.

        Returns:
            class_logits (B, Q, K+1) float32, or None for a per-pixel baseline;
            mask_logits (B, Q, ceil(H/4), ceil(W/4)) float32.

        Raises:
            EngineError: the runtime failed; the message holds its own words.
        """
        ...

    def close(self) -> None:
        """Free the device's memory; `run` must not be called afterwards."""
        ...
