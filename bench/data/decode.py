"""Decoding: from the bytes of an image file to square uint8 RGB pixels, the same for all images.

An image is turned upright, converted to 8-bit RGB and resized; one that Pillow cannot read
completely is rejected with a reason. Decoders differ (by up to 4/255 for JPEG, 23/255 for
resizing), so all that affects a pixel is in this file, under one version number. A file with a
wrong extension is decoded too, and reported.
"""

from __future__ import annotations

import errno
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.system.environment import available_cores
from bench.system.parallel import Item, Result, prefetch_map

DECODE_VERSION = 1  # raise it with any change that may change a pixel: images are decoded again

# Pillow's threshold for a warning, used as a limit here: converting one image of this size takes a
# few hundred megabytes.
MAX_PIXELS = 89_478_485

# A JPEG decoder can shrink by 2, 4 or 8 at little cost, and down to twice the target size nothing
# is lost. The rule is applied to each size alone, so that pixels do not depend on the other sizes
# of the same pass.
DRAFT_UP_TO = 320
MIN_DRAFT = 640

# Raster formats only: Pillow also opens formats that start other programs or read other files (EPS,
# WMF, ...), which images from a data set must not do.
READABLE = (
    *("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "TGA"),
    *("AVIF", "JPEG2000", "ICO", "PCX", "QOI"),
)

THREADS = max(2, available_cores())

Pixels = NDArray[np.uint8]


class BadImageError(Exception):
    """This image cannot be used; the message is the reason."""


def unusable_reason(error: OSError | BadImageError) -> str:
    """Return why an image cannot be used, from the error of reading or decoding it."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)


def decode(data: bytes, sizes: Sequence[int]) -> dict[int, Pixels]:
    """Return the image decoded at each of `sizes`, by size, as arrays of (size, size, 3).

    The aspect ratio is not kept: cropping could cut off the labelled object. `BadImageError` if the
    image is unusable, `OSError` if this machine lacks memory: another attempt may succeed.
    """
    found: dict[int, Pixels] = {}
    try:
        image, shrunk = _load_image(data, shrink=min(sizes) <= DRAFT_UP_TO)
        for size in sorted(sizes):
            if shrunk and size > DRAFT_UP_TO:
                image, shrunk = _load_image(data, shrink=False)
            # Pillow's bilinear filter widens with the reduction, so that nothing aliases.
            found[size] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
    return found


@contextmanager
def suppress_pillow_warnings() -> Iterator[None]:
    """Suppress Pillow's warnings about unusual files, which are harmless or reported elsewhere.

    Warning filters apply to the whole process: enter once, around all decoding threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def decode_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Iterator[Iterator[Result]]:
    """Decode in threads: provide an iterator over `work(item)`, in the items' order.

    At most `window` results are computed ahead of their use.
    """
    # Pillow releases the GIL while it decodes.
    with suppress_pillow_warnings(), ThreadPoolExecutor(THREADS, "decode") as pool:
        yield prefetch_map(pool, work, items, window)


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in READABLE if name in Image.OPEN)  # AVIF: not in every Pillow


def _load_image(data: bytes, *, shrink: bool) -> tuple[Image.Image, bool]:
    """Return the image, upright, as 8-bit RGB, and whether the decoder shrank it."""
    if not data:
        raise BadImageError("the file is empty")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_formats())
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if shrink:
            image.draft(None, (MIN_DRAFT, MIN_DRAFT))
        image.load()
    except UnidentifiedImageError:
        raise BadImageError("not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError(f"more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise
    except Exception as error:
        # Decoders raise anything on bad data (OSError, SyntaxError, struct.error, ...).
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadImageError(f"damaged or cut off: {reason}") from None
    shrunk = image.size not in ((width, height), (height, width))
    _turn_upright(image)
    return _to_rgb(image), shrunk


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:
        pass  # a broken EXIF block does not affect the pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _to_grey(image, top=65535)
    if image.mode in ("I", "F"):
        return _to_grey(image, top=None)
    if image.has_transparency_data:
        # White is the usual background of cut-out objects. Without the alpha channel transparent
        # pixels would show arbitrary colours.
        rgba = image.convert("RGBA")
        page = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(page, rgba).convert("RGB")
    try:
        return image.convert("RGB")
    except ValueError:
        raise BadImageError(f"colour mode {image.mode} cannot be converted to RGB") from None


def _to_grey(image: Image.Image, top: int | None) -> Image.Image:
    """Scale grey values to 8 bits without clipping; `top` is the value of white, None if unknown.

    32-bit files do not define white. For them the narrowest usual range that contains all values is
    used, or, if none does, the range of the values.
    """
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise BadImageError("has values that are not finite numbers")
    black, white = 0.0, float(top or 0)
    if top is None:
        usual = (1, 255, 65535) if image.mode == "F" else (65535,)
        fitting = [limit for limit in usual if low >= 0 and high <= limit]
        black, white = (0.0, float(fitting[0])) if fitting else (low, high)
    span = white - black or 1.0
    grey = np.rint((values - black) * (255 / span)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


# TGA and PCX have no reliable signature; their extensions are not checked.
UNCHECKED = ("TGA", "PCX")
TITLES = {"WEBP": "WebP", "JPEG2000": "JPEG 2000", "PPM": "PNM", "MPO": "JPEG"}


def mismatched_format(id: str, data: bytes) -> str:
    """Return the actual format of an image whose file extension is wrong; "" if it is correct."""
    claimed = Image.registered_extensions().get(PurePosixPath(id).suffix.lower(), "")
    if claimed not in READABLE or claimed in UNCHECKED:
        return ""
    actual = Image.open(io.BytesIO(data), formats=_formats()).format or claimed
    title = TITLES.get(actual, actual)
    return "" if title == TITLES.get(claimed, claimed) else title
