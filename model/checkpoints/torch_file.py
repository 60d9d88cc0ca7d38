"""Files of `torch.save`, read without running anything that they name."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.errors import CheckpointError

_ZIP = b"PK\x03\x04"
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # before the zip format

# A scheduler's state may hold NumPy scalars. Their constructor had another home before NumPy 2.
_scalar: Any = np.float64(0).__reduce__()[0]
_ADMITTED: list[Any] = [
    np.dtype,
    *(type(np.dtype(code)) for code in ("f4", "f8", "i4", "i8")),
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
]


def is_torch_file(path: Path) -> bool:
    """Whether the file begins as those of `torch.save` do."""
    with path.open("rb") as file:
        head = file.read(len(_LEGACY))
    return head.startswith(_ZIP) or head == _LEGACY


def read_torch(path: Path) -> Any:
    """Read what `torch.save` wrote, admitting tensors and plain values only; onto the CPU.

    Raises:
        CheckpointError: the file is broken or names anything else.
    """
    try:
        with torch.serialization.safe_globals(_ADMITTED):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file fails in any way it likes
        named = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"one that names {named[1]}" if named else " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"expected a whole torch file of tensors only at {path}, got {reason}"
        ) from error
