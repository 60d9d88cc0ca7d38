"""The transformer layers that a pixel decoder may run on the coarsest features."""

from torch import Tensor, nn
from torch.nn import functional as F

from model.network.attention import Attention


class EncoderLayer(nn.Module):
    """Self-attention and an MLP, each followed by its norm.

    Args:
        hidden: D.
        heads: of the attention.
        feed_forward: inner width of the MLP.
        dropout: of attention weights, residuals and inside the MLP, in training.
    """

    def __init__(self, hidden: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(hidden, heads, dropout)
        self.linear1 = nn.Linear(hidden, feed_forward)
        self.linear2 = nn.Linear(feed_forward, hidden)
        self.norm1 = nn.LayerNorm(hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.linear1.weight)
        nn.init.xavier_uniform_(self.linear2.weight)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Mix (B, P, D) tokens with each other; `positions` (P, D) tells where they are."""
        placed = tokens + positions
        tokens = self.norm1(tokens + self.dropout(self.self_attn(placed, placed, tokens)))
        inner = self.dropout(F.relu(self.linear1(tokens)))
        mixed: Tensor = self.norm2(tokens + self.dropout(self.linear2(inner)))
        return mixed


class TransformerEncoder(nn.Module):
    """Encoder layers in a row, without a norm at the end.

    Args:
        layers: how many.
        hidden: D.
        heads: of the attentions.
        feed_forward: inner width of the MLPs.
        dropout: as in `EncoderLayer`.
    """

    def __init__(
        self, layers: int, hidden: int, heads: int, feed_forward: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(hidden, heads, feed_forward, dropout) for _ in range(layers)
        )

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Mix (B, P, D) tokens; `positions` (P, D) is added to queries and keys of each layer."""
        for layer in self.layers:
            tokens = layer(tokens, positions)
        return tokens
