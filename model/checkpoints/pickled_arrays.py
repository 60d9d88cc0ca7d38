"""Read arrays out of a pickle without running anything that the pickle names.

A pickle is a program: it names functions and calls them. Here every name that a file of numpy
arrays needs is answered by a stand-in of this module that only collects numbers; any other name
is refused. Not even numpy's own constructors see the file's arguments, because they allocate
whatever size they are told.
"""

import math
import mmap
import pickle
import pickletools
import re
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from model.errors import CheckpointError

MAX_BYTES = 8 * 1024**3  # ten times the largest released model (Swin-L, 0.85 GB)


class _Dtype:
    """Stands in for `numpy.dtype`: a number format and, set later, its byte order."""

    def __init__(self, code: str, *_align_copy: object) -> None:
        if not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
            raise CheckpointError(f"expected arrays of numbers, got numpy dtype {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands in for `numpy.ndarray`; filled by `__setstate__`."""

    def __init__(self) -> None:
        self.array = np.empty(0, np.float32)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, raw = state
        self.array = _array(raw, dtype, shape, "F" if is_fortran else "C")


def _array(raw: bytes | str, dtype: _Dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    data = raw.encode("latin1") if isinstance(raw, str) else raw  # str: written by Python 2
    needed = math.prod(shape) * dtype.dtype.itemsize
    if len(data) != needed:
        raise CheckpointError(f"expected {needed} bytes for shape {shape}, got {len(data)}")
    native = dtype.dtype.newbyteorder("=")
    return np.frombuffer(data, dtype.dtype).astype(native).reshape(shape, order=order)


def _reconstruct(*_class_shape_code: object) -> _Array:
    return _Array()


def _from_buffer(
    raw: bytes,
    dtype: _Dtype,
    shape: tuple[int, ...],
    order: str,
    axes: tuple[int, ...] | None = None,
) -> _Array:
    made = _Array()
    if axes is None:
        made.array = _array(raw, dtype, shape, order)
    else:  # recent numpy: in the order of memory, where that is neither C nor Fortran
        made.array = np.ascontiguousarray(_array(raw, dtype, shape, "C").transpose(axes))
    return made


def _scalar(dtype: _Dtype, raw: bytes | str) -> Any:
    return _array(raw, dtype, (), "C").item()


def _encode(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


_NOT_CALLABLE = "numpy.ndarray"  # only ever an argument of `_reconstruct`
_STAND_INS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _NOT_CALLABLE,
    ("_codecs", "encode"): _encode,  # how protocol 2 and older spell bytes
    ("builtins", "bytes"): _no_bytes,  # likewise, where there are none
    ("__builtin__", "bytes"): _no_bytes,
}
for _core in ("numpy.core", "numpy._core"):  # before and since numpy 2
    _STAND_INS[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _STAND_INS[f"{_core}.multiarray", "scalar"] = _scalar
    _STAND_INS[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise CheckpointError(
                f"expected a pickle of numpy arrays only, got one that names {module}.{name}"
            ) from None


def read_pickle(path: Path) -> Any:
    """Read a pickle of containers, texts, numbers and numpy arrays.

    Args:
        path: written by Python 2 or 3, numpy 1 or 2.

    Returns:
        what was pickled, arrays in native byte order.

    Raises:
        CheckpointError: the file is too large, truncated, or names anything else.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_BYTES:
        raise CheckpointError(f"expected at most {MAX_BYTES} bytes in {path}, got {size_bytes}")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check_sizes(data)
            data.seek(0)
            return _unwrap(_Unpickler(data, encoding="latin1").load())
    except CheckpointError:
        raise
    except Exception as error:  # a broken pickle fails in any way it likes
        raise CheckpointError(f"expected a whole pickle at {path}, got {error!r}") from error


def _check_sizes(data: mmap.mmap) -> None:
    """Refuse a pickle that makes the unpickler itself allocate more than the file holds.

    Lengths beyond the end of the file fail in `genops`, which reads no more than there is. Slots
    of the memo are numbered in order by every pickler, but the unpickler would allocate up to any
    number that it is told.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], data))):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > count:
            raise CheckpointError(f"expected at most {count} memo slots so far, got {argument}")


def _unwrap(value: Any, depth: int = 3) -> Any:
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict) and depth:  # enough for {"model": {"state_dict": {name: array}}}
        return {key: _unwrap(item, depth - 1) for key, item in value.items()}
    return value
