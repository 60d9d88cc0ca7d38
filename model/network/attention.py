"""Multi-head attention whose queries, keys and values are three different things."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.errors import InvalidParameterError


class Attention(nn.Module):
    """Multi-head scaled dot-product attention, arXiv 1706.03762 section 3.2.

    The three input projections are one matrix, in the layout of `nn.MultiheadAttention`: rows of
    the query, of the key, of the value.

    Args:
        hidden: D of inputs and output.
        heads: a divisor of `hidden`.
        dropout: probability of forgetting an attention weight, in training.

    Raises:
        InvalidParameterError: `hidden` is no multiple of `heads`.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        if hidden % heads:
            raise InvalidParameterError(
                f"expected a hidden width divisible by {heads} heads, got {hidden}"
            )
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * hidden, hidden))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * hidden))
        self.out_proj = nn.Linear(hidden, hidden)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Let each query gather the values whose keys resemble it.

        Args:
            query: (B, M, D).
            key: (B, N, D), position encoding included.
            value: (B, N, D).

        Returns:
            (B, M, D).
        """
        weights = self.in_proj_weight.chunk(3)
        biases = self.in_proj_bias.chunk(3)
        query, key, value = (
            torch.unflatten(F.linear(tokens, weight, bias), -1, (self.heads, -1)).transpose(1, 2)
            for tokens, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )  # (B, heads, M or N, D/heads)
        dropout = self.dropout if self.training else 0.0
        gathered = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        attended: Tensor = self.out_proj(gathered.transpose(1, 2).flatten(2))
        return attended
