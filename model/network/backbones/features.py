"""What every backbone gives."""

from torch import Tensor

Features = tuple[Tensor, Tensor, Tensor, Tensor]
"""res2..res5: (B, C, ceil(H/s), ceil(W/s)) for s = 4, 8, 16, 32, of the backbone's channels."""
