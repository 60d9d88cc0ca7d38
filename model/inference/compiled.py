"""Functions compiled by numba: once for one signature, at import or from a cache on disk.

See docs/decisions/0006-post-processing.md.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

# What vector loops need: no NaN is special, a sum may be reordered, products fused.
_FAST = {"contract", "nnan", "nsz", "reassoc"}


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


# All sources that compiled functions and the constants in them may come from.
_SOURCES = _digest(Path(__file__), *sorted(Path(__file__).parent.glob("postprocess/*.py")))


def compiled(signature: Any) -> Callable[[Function], Function]:
    """Compile a function for one signature of numba's; it releases the interpreter lock."""

    def compile_(function: Function, *, cache: bool) -> Function:
        decorate = numba.njit(cache=cache, nogil=True, error_model="numpy", fastmath=_FAST)
        dispatcher: Any = decorate(function)
        if cache:
            # numba looks at a function's own file only, but its machine code holds its callees'.
            dispatcher._cache._cache_file._source_stamp = _SOURCES
        dispatcher.compile(signature)
        dispatcher.disable_compile()
        return cast(Function, dispatcher)

    def decorate(function: Function) -> Function:
        try:
            return compile_(function, cache=True)
        except RuntimeError:  # nowhere to write a cache: a read-only installation without a home
            return compile_(function, cache=False)

    return decorate
