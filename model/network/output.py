"""What every network gives."""

from typing import NamedTuple

from torch import Tensor


class NetworkOutput(NamedTuple):
    """Class and mask logits, of the final layer or of all layers.

    `forward` gives the final layer's. `forward_all_layers` gives every decoder layer's, with a
    dimension L in front whose last entry is the final layer; the per-pixel baseline has L = 1.

    Attributes:
        class_logits: (B, Q, K+1) or (L, B, Q, K+1), no-object last; None for both per-pixel
            baselines.
        mask_logits: (B, Q, ceil(H/4), ceil(W/4)) or (L, B, Q, ceil(H/4), ceil(W/4)), before the
            sigmoid. Both per-pixel baselines: K class maps instead of Q masks, before the softmax.
    """

    class_logits: Tensor | None
    mask_logits: Tensor
