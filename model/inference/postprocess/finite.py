"""Logits that are no numbers are refused: the compiled comparisons are undefined for them."""

import numpy as np
from numba import types as t

from model.errors import EngineError
from model.inference.compiled import compiled
from model.inference.postprocess.kernels import INDEX, INTEGERS, MAPS

NOT_FINITE = "expected finite logits of the network, got NaN or infinite ones"


def check_finite(logits: np.ndarray) -> None:
    """Refuse logits of any shape.

    Raises:
        EngineError: one is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise EngineError(NOT_FINITE)


def check_finite_maps(maps: np.ndarray, queries: np.ndarray) -> None:
    """Refuse mask logits; those of queries that take no part are not looked at.

    Args:
        maps: (Q, h, w) float32.
        queries: (N,) int32 which maps.

    Raises:
        EngineError: a logit is NaN or infinite.
    """
    if not _are_finite(maps, queries):
        raise EngineError(NOT_FINITE)


@compiled(t.boolean(MAPS, INTEGERS))
def _are_finite(maps: np.ndarray, queries: np.ndarray) -> bool:
    """By the bits of the exponents, which are all set in NaN and in infinity alone."""
    exponent, highest = np.uint32(0x7F800000), np.uint32(0)
    for n in range(INDEX(len(queries))):
        bits = maps[INDEX(queries[n])].reshape(-1).view(np.uint32)
        for i in range(INDEX(len(bits))):
            highest = max(highest, bits[i] & exponent)
    return bool(highest < exponent)
