import pytest
import torch
from torch import nn

from model.errors import InvalidParameterError
from model.network.attention import Attention


def test_equals_torch_with_the_same_weights() -> None:
    torch.manual_seed(0)
    ours = Attention(hidden=12, heads=3, dropout=0.5).eval()
    nn.init.normal_(ours.in_proj_bias)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    query, key, value = torch.randn(2, 4, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    expected, _ = theirs(query, key, value)
    torch.testing.assert_close(ours(query, key, value), expected)


def test_forgets_weights_in_training_only() -> None:
    torch.manual_seed(0)
    attention, tokens = Attention(hidden=8, heads=2, dropout=0.5), torch.randn(1, 9, 8)
    assert not torch.equal(attention(tokens, tokens, tokens), attention(tokens, tokens, tokens))
    attention.eval()
    assert torch.equal(attention(tokens, tokens, tokens), attention(tokens, tokens, tokens))


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="divisible by 3 heads, got 8"):
        Attention(hidden=8, heads=3, dropout=0.0)
