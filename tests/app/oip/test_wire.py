"""The wire format alone: round trips, and bodies that nobody sane sends."""

import gzip
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.metrics import Metrics
from app.oip.infer import read_inference
from app.oip.wire import decompress, read_request, write_response
from app.service import SegmentationService
from app.settings import Settings
from model.errors import MaskFormerError
from model.inference.segmenter import Segmenter
from tests.app.conftest import HeldEngine
from tests.fakes import fake_artifact

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(10**400)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, VALUES)


def names(*known: str) -> st.SearchStrategy[Any]:
    return some(st.dictionaries(st.sampled_from(known), VALUES, max_size=3))


INPUT = st.fixed_dictionaries(
    {
        "name": some(st.just("image")),
        "shape": some(st.lists(st.integers(-1, 4), max_size=5)),
        "datatype": some(st.sampled_from(["BYTES", "UINT8", "FP32"])),
    },
    optional={
        "data": some(st.lists(st.integers(-1, 300) | st.just("aGk="), max_size=12)),
        "parameters": names("binary_data_size", "other"),
    },
)
HEAD = st.fixed_dictionaries(
    {"inputs": some(st.lists(INPUT, max_size=2))},
    optional={
        "id": some(st.text(max_size=4)),
        "parameters": names("timeout", "mode", "classes", "score_threshold", "binary_data_output"),
        "outputs": some(
            st.lists(
                st.fixed_dictionaries(
                    {"name": some(st.sampled_from(["semantic", "segments_info"]))},
                    optional={"parameters": names("binary_data", "classification")},
                ),
                max_size=2,
            )
        ),
    },
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    artifact = fake_artifact(tmp_path_factory.mktemp("models") / "fake")
    service = SegmentationService(
        {"fake": Segmenter(artifact, HeldEngine())}, Settings(cpu_threads=1), Metrics()
    )
    yield service.find(None)
    service.close()


@given(head=some(HEAD), tail=st.binary(max_size=40), length=some(st.just(None)))
def test_any_request_is_read_or_refused_in_one_sentence(model, head, tail, length) -> None:
    text = json.dumps(head).encode()
    header = str(len(text)) if length is None else str(length)[:50]
    try:
        read_inference(text + tail, {"inference-header-content-length": header}, model, Settings())
    except MaskFormerError as error:
        assert "expected" in str(error)
        assert len(str(error)) < 500


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_binary_elements_survive(elements: list[bytes]) -> None:
    tail = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [len(elements)],
        "parameters": {"binary_data_size": len(tail)},
    }
    text = json.dumps({"inputs": [tensor]}).encode()
    assert read_request(text + tail, str(len(text)), 5).elements == elements


@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate", "GZIP"]))
def test_compression_is_undone_up_to_its_bound(data: bytes, encoding: str) -> None:
    packed = zlib.compress(data) if encoding == "deflate" else gzip.compress(data)
    if len(data) <= 50:
        assert decompress(packed, encoding, 50) == data
    else:
        with pytest.raises(MaskFormerError, match="at most 50 bytes"):
            decompress(packed, encoding, 50)


@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate"]))
def test_bytes_that_are_not_compressed_are_refused(data: bytes, encoding: str) -> None:
    with pytest.raises(MaskFormerError, match="expected"):
        decompress(data, encoding, 1000)


def test_tensors_of_every_kind_are_written_little_endian() -> None:
    tensors = {
        "semantic": np.array([[[1, 65535]]], ">u2"),
        "panoptic": np.array([[[1, 2**20]]], np.int32)[:, :, ::-1],
        "segments_info": [b"ab", b""],
        "mask_logits": np.zeros((1, 0, 2, 2), np.float32),
    }
    body, headers = write_response({}, tensors, set(tensors))
    length = int(headers["Inference-Header-Content-Length"])
    outputs = json.loads(body[:length])["outputs"]
    assert [output["shape"] for output in outputs] == [[1, 1, 2], [1, 1, 2], [2], [1, 0, 2, 2]]
    assert body[length:] == (
        b"\x01\x00\xff\xff" + b"\0\0\x10\0\x01\0\0\0" + b"\x02\0\0\0ab\0\0\0\0"
    )
