import contextlib
import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from model.errors import (
    ImageError,
    ImageTooLargeError,
    InvalidImageError,
    UnsupportedImageError,
)
from model.inference.decode import ImageLimits, decode, to_rgb
from tests.fakes import to_bytes

FORMS = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF")
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_every_format_is_recognised_by_its_bytes(form):
    rgb = decode(to_bytes(PICTURE, form))
    assert rgb.shape == PICTURE.shape
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    with Image.open(io.BytesIO(to_bytes(PICTURE, form))) as opened:
        np.testing.assert_array_equal(rgb, np.asarray(opened.convert("RGB")))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_back_the_pixels(form):
    np.testing.assert_array_equal(decode(to_bytes(PICTURE, form)), PICTURE)


@pytest.mark.parametrize("form", FORMS)
def test_one_pixel_pictures(form):
    assert decode(to_bytes(np.full((1, 1, 3), 200, np.uint8), form)).shape == (1, 1, 3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_bytes_are_an_invalid_image(form, share):
    data = to_bytes(np.tile(PICTURE, (8, 8, 1)), form)
    with pytest.raises(InvalidImageError, match="expected"):
        decode(data[: max(16, int(len(data) * share))])


@pytest.mark.parametrize("form", FORMS)
def test_damaged_bytes_never_raise_anything_else(form):
    data = to_bytes(PICTURE, form)
    rng = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 4):
            damaged[position] = rng.integers(0, 256)
        with contextlib.suppress(ImageError):
            assert decode(bytes(damaged), ImageLimits(max_pixels=10_000)).shape[2] == 3


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"<html><body>404</body>", "HTML"),
        (b'{"image": "..."}', "JSON"),
        (b"hello, I am text", "0x68656c6c6f2c2049"),
    ],
)
def test_other_formats_are_named_in_the_refusal(data, name):
    with pytest.raises(UnsupportedImageError, match=r"JPEG, PNG, WebP.*" + name):
        decode(data)


def test_no_bytes():
    with pytest.raises(InvalidImageError, match="0 bytes"):
        decode(b"")


def huge_png() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


def huge_webp() -> bytes:
    canvas = b"\0\0\0\0" + (16382).to_bytes(3, "little") * 2
    return b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0" + canvas + bytes(40)


def huge_gif(descriptor: bool) -> bytes:
    """65535 x 65535 in the header of the file, or only in that of its first frame."""
    data = to_bytes(PICTURE, "GIF")
    at = data.index(b"," + bytes(4)) + 5 if descriptor else 6
    return data[:at] + struct.pack("<HH", 65535, 65535) + data[at + 4 :]


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (huge_png(), "60000x60000"),
        (huge_webp(), "16383x16383"),
        (huge_gif(descriptor=False), "65535x65535"),
    ],
)
def test_too_many_pixels_are_refused_on_the_header(data, numbers):
    with pytest.raises(ImageTooLargeError, match=rf"at most 64000000 pixels, got {numbers}"):
        decode(data)


def test_a_frame_larger_than_its_file_says_is_refused():
    with pytest.raises(ImageTooLargeError, match="at most 64000000 pixels"):
        decode(huge_gif(descriptor=True))


@pytest.mark.parametrize("form", FORMS)
def test_limits_are_inclusive(form):
    data = to_bytes(PICTURE, form)
    decode(data, ImageLimits(max_bytes=len(data), max_pixels=24 * 32))
    with pytest.raises(ImageTooLargeError, match=f"at most {len(data) - 1} bytes"):
        decode(data, ImageLimits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLargeError, match="32x24 = 768"):
        decode(data, ImageLimits(max_pixels=24 * 32 - 1))


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_header_is_read_in_all_its_forms(lossless):
    tiny = ImageLimits(max_pixels=1)
    exif = Image.Exif()
    exif[0x0112] = 1
    extended = saved(Image.fromarray(PICTURE), "WebP", lossless=lossless, exif=exif)
    assert extended[12:16] == b"VP8X"
    for data in (saved(Image.fromarray(PICTURE), "WebP", lossless=lossless), extended):
        with pytest.raises(ImageTooLargeError, match="32x24 = 768"):
            decode(data, tiny)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WebP", "TIFF"])
def test_exif_orientation_turns_the_picture_upright(orientation, form):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16], upright[8:, 16:] = 255, 128
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # its inverse
    stored = Image.fromarray(upright)
    if undo is not None:
        stored = stored.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WebP" else {}
    data = saved(stored, form, exif=exif, **options)
    np.testing.assert_allclose(decode(data).astype(int), upright, atol=8 if form == "JPEG" else 0)
    with Image.open(io.BytesIO(data)) as opened:  # a Pillow picture gives the same answer
        np.testing.assert_array_equal(to_rgb(opened), decode(data))


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "P", "LA", "PA", "La", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"],
)
def test_every_colour_mode_becomes_rgb(mode):
    via = {"PA": "P", "La": "LA", "RGBa": "RGBA"}.get(mode, mode)
    image = Image.fromarray(PICTURE).convert(via)
    if via != mode:
        image = image.convert(mode)
    rgb = to_rgb(image)
    assert rgb.shape == PICTURE.shape
    assert rgb.dtype == np.uint8
    if mode.startswith("RGB"):
        np.testing.assert_array_equal(rgb, PICTURE)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_greys_keep_their_high_byte(form):
    deep = np.arange(0, 65536, 97, dtype=np.uint16)[:600].reshape(20, 30)
    rgb = decode(saved(Image.fromarray(deep), form))
    np.testing.assert_array_equal(rgb, np.repeat((deep >> 8)[..., None], 3, axis=2))


def test_wide_integers_are_never_clipped_to_white():
    values = np.array([[0, 0x1234, 0xFFFF]], np.int32)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(values))[0, :, 0], [0, 0x12, 0xFF])
    wide = np.array([[-5, 2**30, 2**31 - 1]], np.int32)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(wide))[0, :, 0], [0, 128, 255])


def test_floats_are_unit_or_byte_range():
    unit = np.array([[0, 0.5, 1, np.nan]], np.float32)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(unit))[0, :, 0], [0, 128, 255, 0])
    byte = np.array([[-3, 0.5, 100, 300]], np.float32)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(byte))[0, :, 0], [0, 0, 100, 255])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(mode):
    hidden = np.zeros((4, 4, 4), np.uint8)
    hidden[:2, :, 3] = 255  # opaque black above, transparent black below
    image = Image.fromarray(hidden)
    if mode == "P":
        image = image.quantize(4)
    rgb = decode(saved(image.convert(mode), "PNG"))
    assert (rgb[:2] == 0).all()
    assert (rgb[2:] == 255).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(InvalidImageError, match="uint8, got"):
        to_rgb(array)


def test_arrays_pass_unchanged():
    np.testing.assert_array_equal(to_rgb(PICTURE[:, ::-1]), PICTURE[:, ::-1])


def test_threads_decode_in_parallel_and_leave_pillow_alone():
    limit = Image.MAX_IMAGE_PIXELS
    data = to_bytes(np.tile(PICTURE, (10, 10, 1)), "JPEG")
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(decode, [data] * 32))
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)
    assert limit == Image.MAX_IMAGE_PIXELS
