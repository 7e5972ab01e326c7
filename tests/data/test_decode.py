"""Every kind of image file: the correct pixels, or an error with the reason."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ImageFile import ImageFile

from bench.data.decode import (
    DRAFT_UP_TO,
    MAX_PIXELS,
    BadImageError,
    decode,
    suppress_pillow_warnings,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with suppress_pillow_warnings():
        yield


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(data: bytes) -> list[int]:
    """The colour of an image that has one colour."""
    square = decode(data, [2])[2]
    assert square.shape == (2, 2, 3)
    assert square.dtype == np.uint8
    assert (square == square[0, 0]).all()
    return list(square[0, 0].tolist())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "QOI"])
def test_lossless_formats_give_the_colours_they_hold(kind: str) -> None:
    assert pixel(encoded(Image.new("RGB", (5, 3), (200, 100, 50)), kind)) == [200, 100, 50]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_close(kind: str) -> None:
    data = encoded(Image.new("RGB", (16, 16), (200, 100, 50)), kind, quality=95)
    assert np.allclose(pixel(data), [200, 100, 50], atol=2)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, [255, 255, 255]),
        ("L", 77, [77, 77, 77]),
        ("LA", (0, 255), [0, 0, 0]),
        ("LA", (0, 0), [255, 255, 255]),  # fully transparent: the white page
        ("RGBA", (255, 0, 0, 255), [255, 0, 0]),
        ("RGBA", (255, 0, 0, 51), [255, 204, 204]),  # a fifth of red on four fifths of white
    ],
)
def test_modes_become_rgb(mode: str, colour: Any, expected: list[int]) -> None:
    assert pixel(encoded(Image.new(mode, (4, 4), colour))) == expected


def test_cmyk_becomes_rgb() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "TIFF")
    assert pixel(data) == [255, 0, 0]


def test_palette_keeps_its_colours_and_its_transparency() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert pixel(encoded(image)) == [40, 50, 60]
    assert pixel(encoded(image, transparency=1)) == [255, 255, 255]


def test_transparent_colour_of_an_rgb_png_is_white() -> None:
    data = encoded(Image.new("RGB", (4, 4), RED), transparency=RED)
    assert pixel(data) == [255, 255, 255]


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257, 1), (25700, 100), (65535, 255)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_not_clipped(value: int, expected: int, kind: str) -> None:
    image = Image.fromarray(np.full((4, 4), value, np.uint16))
    assert pixel(encoded(image, kind)) == [expected] * 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.2, 1.0], [0, 51, 255]),  # 0..1
        ([0.0, 51.0, 255.0], [0, 51, 255]),  # 0..255
        ([0.0, 13107.0, 65535.0], [0, 51, 255]),  # 0..65535
        ([-1.0, -0.6, 1.0], [0, 51, 255]),  # none of these: from least to greatest
        ([7.0, 7.0, 7.0], [7, 7, 7]),
    ],
)
def test_float_images_are_scaled_by_the_range_that_holds_them(
    values: list[float], expected: list[int]
) -> None:
    image = Image.fromarray(np.array([values] * 3, np.float32))
    assert decode(encoded(image, "TIFF"), [3])[3][0, :, 0].tolist() == expected


def test_float_images_without_numbers_are_refused() -> None:
    image = Image.fromarray(np.full((3, 3), np.nan, np.float32))
    with pytest.raises(BadImageError, match="not finite numbers"):
        decode(encoded(image, "TIFF"), [3])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize(
    ("orientation", "left_top", "right_top", "left_bottom"),
    [
        # The file holds red at the left top, green at the right top, blue at the left bottom.
        (1, "red", "green", "blue"),
        (2, "green", "red", "white"),
        (3, "white", "blue", "green"),
        (4, "blue", "white", "red"),
        (5, "red", "blue", "green"),
        (6, "blue", "red", "white"),
        (7, "white", "green", "blue"),
        (8, "green", "white", "red"),
    ],
)
def test_exif_rotation_is_undone(
    kind: str, orientation: int, left_top: str, right_top: str, left_bottom: str
) -> None:
    colours = {"red": RED, "green": (0, 255, 0), "blue": BLUE, "white": (255, 255, 255)}
    image = Image.new("RGB", (64, 32), "white")
    image.paste(colours["red"], (0, 0, 32, 16))
    image.paste(colours["green"], (32, 0, 64, 16))
    image.paste(colours["blue"], (0, 16, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    square = decode(encoded(image, kind, exif=exif, **options), [8])[8].astype(int)
    for place, name in (((0, 0), left_top), ((0, 7), right_top), ((7, 0), left_bottom)):
        assert np.abs(square[place] - colours[name]).max() <= 3, name


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixel(data) == list(RED)


def test_a_wrong_extension_does_not_affect_decoding() -> None:
    assert pixel(encoded(Image.new("RGB", (4, 4), RED), "GIF")) == list(RED)


def test_resizing_averages_rather_than_picks() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    square = decode(encoded(Image.fromarray(board)), [4])[4]
    assert np.abs(square.astype(int) - 127).max() <= 1


def test_one_pass_gives_the_same_pixels_as_a_pass_for_each_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1400, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")  # large enough to be shrunk while decoding
    sizes = [32, DRAFT_UP_TO, DRAFT_UP_TO + 1]
    together = decode(data, sizes)
    assert sorted(together) == sizes
    for size in sizes:
        assert np.array_equal(together[size], decode(data, [size])[size])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"not an image at all, but long enough to be one", "not an image"),
        (encoded(Image.new("RGB", (300, 200), RED), "JPEG")[:-400], "cut off"),
        (encoded(Image.effect_noise((64, 64), 50))[:2000], "cut off"),
        (encoded(Image.new("RGB", (64, 64), RED), "BMP")[:-100], "cut off"),
    ],
)
def test_unusable_files_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        decode(data, [8])


def png_that_claims(width: int, height: int) -> bytes:
    """The head of a PNG: its size is believed before any pixel is read."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("height", [9_000, 30_000])  # where Pillow warns, and where it raises
def test_decompression_bombs_are_refused_and_pillow_is_left_as_it_was(height: int) -> None:
    assert MAX_PIXELS < 10_000 * 9_000
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(BadImageError, match="pixels"):
        decode(png_that_claims(10_000, height), [8])
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(("kind", "name"), [(ImageFile, "load"), (Image.Image, "resize")])
def test_a_lack_of_memory_is_not_an_unusable_image(
    monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    def fail(self: Image.Image, *args: Any) -> None:
        raise MemoryError

    data = encoded(Image.new("RGB", (8, 8)))
    monkeypatch.setattr(kind, name, fail)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        decode(data, [4])


def test_warnings_of_pillow_are_suppressed_only_inside() -> None:
    def warn() -> None:
        warnings.warn_explicit("odd EXIF", UserWarning, "x.py", 1, module="PIL.TiffImagePlugin")

    warn()  # inside, thanks to the fixture
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with suppress_pillow_warnings():
            warn()
        with pytest.raises(UserWarning, match="odd EXIF"):
            warn()


def test_a_broken_exif_block_is_ignored() -> None:
    data = encoded(Image.new("RGB", (16, 16), RED), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff")
    assert np.allclose(pixel(data), RED, atol=2)
