"""What files carry beside weights: buffers that are computed here, formats that are not kept."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from model.errors import CheckpointError

_INDEX = ".relative_position_index"


def tidy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the window index after checking it; round float64 to float32.

    Args:
        state: by our names, still holding Swin's `relative_position_index` where the file did.

    Raises:
        CheckpointError: an index orders the window otherwise than the bias tables need, or a
            tensor is not of floating point.
    """
    kept = {}
    for key, tensor in state.items():
        if key.endswith(_INDEX):
            _check_index(key, tensor, state)
        elif not tensor.is_floating_point():
            raise CheckpointError(f"{key}: expected floating point numbers, got {tensor.dtype}")
        else:
            kept[key] = tensor.float() if tensor.dtype == torch.float64 else tensor
    return kept


def window_of(bias_table: Tensor) -> int:
    """Side of the attention window, in tokens, of a bias table ((2 window - 1)^2, heads)."""
    side = math.isqrt(bias_table.shape[0])
    if side**2 != bias_table.shape[0] or side % 2 == 0:
        raise CheckpointError(
            f"expected a bias table with the square of an odd number of rows, "
            f"got {bias_table.shape[0]}"
        )
    return (side + 1) // 2


def relative_position_index(window: int) -> Tensor:
    """Row of the bias table for each pair of tokens: (window^2, window^2) int64."""
    along = torch.arange(window)
    difference = along[:, None] - along[None, :] + window - 1  # (window, window)
    rows = difference[:, None, :, None] * (2 * window - 1) + difference[None, :, None, :]
    return rows.reshape(window**2, window**2)


def _check_index(key: str, index: Tensor, state: Mapping[str, Tensor]) -> None:
    table = state.get(key.replace(_INDEX, ".relative_position_bias_table"))
    if table is not None and not torch.equal(
        index.long(), relative_position_index(window_of(table))
    ):
        raise CheckpointError(f"{key}: expected the row-major order of a window, got another order")
