"""Torch: the reference on CPUs, and the engine for GPUs without exported graphs."""

from pathlib import Path

import numpy as np
import torch

from model.artifact import Artifact
from model.errors import EngineError, EngineUnavailableError
from model.inference.engines.checks import check_pixels, check_precision, one_line
from model.network.load import load_network

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine:
    """Runs the network itself, eagerly; needs the weights only, no exported graph."""

    name = "torch"

    def __init__(
        self,
        artifact: Artifact,
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        slots: int | None = None,
        max_batch: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Load the weights.

        Args:
            artifact: its weights are read; a graph is not needed.
            device: `cpu`, `cuda` or `cuda:index`; `auto` is `cuda` where there is one.
            precision: `auto` is float32 on the CPU, where this engine is the reference, and
                bfloat16 on a GPU that has it. The narrow ones are autocast: matrix products and
                convolutions narrow, norms, softmax and position encodings in float32.
            threads: on the CPU, of one run; set for the whole process, as torch has it.
            slots: concurrent runs; default 1, because one run uses all threads.
            max_batch: largest B; default 1 on the CPU, 8 on a GPU (chosen, not measured).
            cache_dir: unused; there is nothing to keep.

        Raises:
            EngineError: a precision that is not there.
            EngineUnavailableError: the device is not here.
            CheckpointError: the weights do not fit the architecture.
        """
        del cache_dir
        self._device = _choose_device(device)
        self.device = str(self._device)
        if precision == "auto":
            narrow = self._device.type == "cuda" and torch.cuda.is_bf16_supported()
            precision = "bfloat16" if narrow else "float32"
        self.precision = check_precision(precision, DTYPES, f"torch on {self.device}")
        self.slots = slots or 1
        self.max_batch = max_batch or (1 if self._device.type == "cpu" else 8)
        if threads and self._device.type == "cpu":
            torch.set_num_threads(threads)
        network = load_network(artifact).to(self._device).eval()
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """See `Engine.run`."""
        pixels = check_pixels(pixels, self.max_batch)
        dtype = DTYPES[self.precision]
        narrow = torch.autocast(self._device.type, dtype, enabled=dtype != torch.float32)
        try:
            with torch.inference_mode(), narrow:
                batch = torch.from_numpy(pixels).to(self._device, memory_format=torch.channels_last)
                class_logits, mask_logits = self._network(batch)
                classes = None if class_logits is None else class_logits.float().cpu().numpy()
                return classes, mask_logits.float().cpu().numpy()
        except RuntimeError as error:
            raise EngineError(
                f"torch failed on pixels {pixels.shape}: {one_line(error)}"
            ) from error

    def close(self) -> None:
        """See `Engine.close`."""
        del self._network
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _choose_device(name: str) -> torch.device:
    found = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if found else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    known = device is not None and str(device) in [*here, *(["cuda"] if found else [])]
    if device is None or not known:
        raise EngineUnavailableError(f"expected a device of torch ({', '.join(here)}), got {name}")
    return device
