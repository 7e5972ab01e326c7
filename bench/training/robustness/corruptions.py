"""What photographs suffer, in three strengths each: the same for every backbone and every run.

Each function takes one uint8 image (size, size, 3) and gives one back. Blur goes by the image's
size, so that the same scene is blurred alike at every input size; noise and JPEG are per pixel, as
the network gets it. What is random follows from the image's number alone.

The set is fixed: raise `VERSION` with any change, because answers to it are compared across runs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

VERSION = 1
Pixels = NDArray[np.uint8]


def blur(image: Pixels, strength: int, number: int) -> Pixels:
    """Out of focus: a Gaussian of 0.5, 1 or 2% of the image's width."""
    radius = len(image) * (0.005, 0.01, 0.02)[strength - 1]
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def noise(image: Pixels, strength: int, number: int) -> Pixels:
    """Poor light: Gaussian noise of 6, 12 or 24% of the range, on each colour of each pixel."""
    spread = 255 * (0.06, 0.12, 0.24)[strength - 1]
    drawn = np.random.default_rng([VERSION, strength, number])
    noisy = image + spread * drawn.standard_normal(image.shape, dtype=np.float32)
    return _to_pixels(noisy)


def jpeg(image: Pixels, strength: int, number: int) -> Pixels:
    """Compressed: JPEG quality 30, 15 or 7."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=(30, 15, 7)[strength - 1])
    with Image.open(buffer) as stored:
        return np.asarray(stored.convert("RGB"))


def brightness(image: Pixels, strength: int, number: int) -> Pixels:
    """Exposed too long: 15, 30 or 45% of the range brighter."""
    return _to_pixels(image + np.float32(255 * (0.15, 0.3, 0.45)[strength - 1]))


def contrast(image: Pixels, strength: int, number: int) -> Pixels:
    """Fog: half, 30% or 15% of the contrast, around the mean grey."""
    faded = ImageEnhance.Contrast(Image.fromarray(image))
    return np.asarray(faded.enhance((0.5, 0.3, 0.15)[strength - 1]))


def rotation(image: Pixels, strength: int, number: int) -> Pixels:
    """Held askew: by 10, 20 or 40 degrees, even images to the left and odd ones to the right.

    The corners are filled with the mirrored surroundings: black ones would be another corruption.
    """
    angle = (10, 20, 40)[strength - 1] * (1 if number % 2 == 0 else -1)
    size = len(image)
    margin = size // 4  # the corners reach out by less: (cos + sin - 1) / 2 of the size
    wide = Image.fromarray(np.pad(image, ((margin, margin), (margin, margin), (0, 0)), "reflect"))
    turned = wide.rotate(angle, Image.Resampling.BILINEAR)
    return np.asarray(turned)[margin : margin + size, margin : margin + size]


CORRUPTIONS: Mapping[str, Callable[[Pixels, int, int], Pixels]] = {
    "blur": blur,
    "noise": noise,
    "jpeg": jpeg,
    "brightness": brightness,
    "contrast": contrast,
    "rotation": rotation,
}


def _to_pixels(values: NDArray[np.floating]) -> Pixels:
    pixels: Pixels = np.rint(values.clip(0, 255)).astype(np.uint8)
    return pixels
