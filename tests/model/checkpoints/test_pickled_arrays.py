"""The unpickler gives numbers and runs nothing."""

import collections
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model.checkpoints import pickled_arrays
from model.checkpoints.pickled_arrays import read_pickle
from model.errors import CheckpointError

FORMATS = st.sampled_from(["<f2", "<f4", ">f4", "<f8", "<i4", ">i8", "|u1", "|b1"])


@given(
    array=arrays.arrays(FORMATS, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0)),
    protocol=st.integers(0, 5),
    is_fortran=st.booleans(),
)
def test_any_array_comes_back(tmp_path_factory, array, protocol, is_fortran):
    path = tmp_path_factory.mktemp("pickle") / "array.pkl"
    array = np.asfortranarray(array) if is_fortran else array
    path.write_bytes(pickle.dumps({"a": {"b": array}}, protocol=protocol))
    back = read_pickle(path)["a"]["b"]
    assert back.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, array)


@given(
    axes=st.permutations(range(4)),
    protocol=st.integers(0, 5),
    array=arrays.arrays("<f4", arrays.array_shapes(min_dims=4, max_dims=4)),
)
def test_any_order_in_memory(tmp_path_factory, array, axes, protocol):
    path = tmp_path_factory.mktemp("pickle") / "array.pkl"
    array = array.transpose(axes)
    path.write_bytes(pickle.dumps({"a": array}, protocol=protocol))
    np.testing.assert_array_equal(read_pickle(path)["a"], array)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("pickle") / "any.pkl"
    path.write_bytes(data)
    try:
        read_pickle(path)
    except CheckpointError:
        return


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read(tmp_path_factory, place, value):
    data = bytearray(pickle.dumps({"model": {"x": np.arange(6.0, dtype=np.float32)}}))
    data[place % len(data)] = value
    path = tmp_path_factory.mktemp("pickle") / "changed.pkl"
    path.write_bytes(data)
    try:
        read_pickle(path)
    except CheckpointError:
        return


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_both_homes_of_numpys_constructor(tmp_path, module):
    data = pickle.dumps({"x": np.ones(3, np.float32)}, protocol=0)  # names are plain text there
    data = re.sub(rb"numpy\._?core\.multiarray", module.encode(), data)
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_pickle(path)["x"], np.ones(3, np.float32))


def test_python_2_file(tmp_path):
    """A str of Python 2 holds bytes; this is what `cPickle.dumps(np.float32([1, 2]), 2)` writes."""
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b"
        b"\x87Rq\x03(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02f4K\x00K\x01\x87Rq\x05(K\x03U\x01<NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08\x00\x00\x80?\x00\x00\x00@tb."
    )
    (tmp_path / "two.pkl").write_bytes(data)
    np.testing.assert_array_equal(read_pickle(tmp_path / "two.pkl"), np.float32([1, 2]))


def test_ordered_dicts_and_scalars(tmp_path):
    content = collections.OrderedDict(a=np.float64(1.5), b=np.int64(3), c="text", d=[1, None])
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    assert read_pickle(tmp_path / "x.pkl") == content


class Command:
    def __reduce__(self):
        return os.system, ("touch owned",)


class Reader:
    def __reduce__(self):
        return getattr, ("text", "upper")


@pytest.mark.parametrize("content", [Command(), Reader(), Path("x"), print, np.load, np.ndarray])
def test_everything_else_is_refused_by_name(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    Path("bad.pkl").write_bytes(pickle.dumps(content))
    if content is np.ndarray:  # admitted as a word, never as something to call
        assert read_pickle(Path("bad.pkl")) == "numpy.ndarray"
        return
    with pytest.raises(CheckpointError, match=r"names \w+"):
        read_pickle(Path("bad.pkl"))
    assert not Path("owned").exists()


class Huge:
    """Asks numpy itself to allocate a terabyte."""

    def __reduce__(self):
        return np.ndarray, ((2**40,), "u1")


def test_numpy_is_never_told_a_size(tmp_path):
    (tmp_path / "huge.pkl").write_bytes(pickle.dumps(Huge()))
    with pytest.raises(CheckpointError):
        read_pickle(tmp_path / "huge.pkl")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02]r\xff\xff\xff\x3f.",  # memo slot 2^30: eight gigabytes of slots
        b"\x80\x05\x96" + (2**34).to_bytes(8, "little") + b"abc.",  # a bytearray of 16 GB
        b"\x80\x04\x8e" + (2**34).to_bytes(8, "little") + b"abc.",  # likewise bytes
        b"\x80\x04\x95" + (2**34).to_bytes(8, "little") + b"N.",  # likewise a frame
    ],
)
def test_the_unpickler_is_never_told_a_size(tmp_path, data):
    (tmp_path / "bomb.pkl").write_bytes(data)
    with pytest.raises(CheckpointError):
        read_pickle(tmp_path / "bomb.pkl")


def test_arrays_of_objects_are_refused(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(np.array([{}], dtype=object)))
    with pytest.raises(CheckpointError, match="arrays of numbers"):
        read_pickle(tmp_path / "x.pkl")


def test_a_file_above_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickled_arrays, "MAX_BYTES", 10)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(np.ones(9)))
    with pytest.raises(CheckpointError, match="at most 10 bytes"):
        read_pickle(tmp_path / "x.pkl")
