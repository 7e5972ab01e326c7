"""Decoding: from the bytes of an image file to square uint8 RGB pixels, in one way for all images.

What Pillow can read is turned upright, converted to 8-bit RGB and resized; what it cannot read
completely is refused with a reason. Decoders differ (by up to 4/255 for JPEG, 23/255 for resizing),
so all that affects a pixel is in this file, under one version number. A file whose extension is
wrong is decoded all the same, but reported.
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

# Pillow's own threshold for a warning; here it is the limit. One image of this size already takes
# a few hundred megabytes while it is converted.
MAX_PIXELS = 89_478_485

# A JPEG decoder can shrink by 2, 4 or 8 at little cost. Down to twice the target size nothing is
# lost. The rule is applied to one size at a time, so that pixels do not depend on which other sizes
# are made in the same pass.
DRAFT_UP_TO = 320
MIN_DRAFT = 640

# Raster formats only: Pillow also opens formats that start other programs or read other files (EPS,
# WMF, ...), which a data set must not do.
READABLE = (
    *("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "TGA"),
    *("AVIF", "JPEG2000", "ICO", "PCX", "QOI"),
)

THREADS = max(2, available_cores())

Pixels = NDArray[np.uint8]


class BadImageError(Exception):
    """This image cannot be used; the message is the reason."""


def unusable_reason(error: OSError | BadImageError) -> str:
    """Say why an image is not used that could not be read or decoded."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)


def decode(data: bytes, sizes: Sequence[int]) -> dict[int, Pixels]:
    """Decode the image at each of `sizes`, as (size, size, 3), resized as Keras does.

    The aspect ratio is not kept: cropping could cut off the labelled object. `BadImageError` is
    about the image, `OSError` about this machine: the next run may succeed.
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
    """Suppress Pillow's warnings on odd files, which are reported otherwise or harmless.

    Warning filters belong to the whole process: enter once, around all decoding threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def decode_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Iterator[Iterator[Result]]:
    """Do the work, which decodes an image, in threads: in the items' order, at most `window` of
    them ahead of their use, the first ones at once."""
    # Pillow releases the GIL while it decodes.
    with suppress_pillow_warnings(), ThreadPoolExecutor(THREADS, "decode") as pool:
        yield prefetch_map(pool, work, items, window)


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in READABLE if name in Image.OPEN)  # AVIF: not in every Pillow


def _load_image(data: bytes, *, shrink: bool) -> tuple[Image.Image, bool]:
    """Return the whole image, upright, as 8-bit RGB, and whether the decoder shrank it."""
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
        # On white, the usual background of cut-out objects. Dropping the alpha channel would show
        # whatever colour the transparent pixels have.
        rgba = image.convert("RGBA")
        page = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(page, rgba).convert("RGB")
    try:
        return image.convert("RGB")
    except ValueError:
        raise BadImageError(f"colour mode {image.mode} cannot be turned into RGB") from None


def _to_grey(image: Image.Image, top: int | None) -> Image.Image:
    """Scale to 8 bits without clipping.

    32-bit files do not define which value is white. The narrowest usual range that contains all
    values is used, or else their own range.
    """
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise BadImageError("has values that are not numbers")
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
    """Return the real format of an image whose file extension is wrong; "" if it is right."""
    said = Image.registered_extensions().get(PurePosixPath(id).suffix.lower(), "")
    if said not in READABLE or said in UNCHECKED:
        return ""
    found = Image.open(io.BytesIO(data), formats=_formats()).format or said
    title = TITLES.get(found, found)
    return "" if title == TITLES.get(said, said) else title
