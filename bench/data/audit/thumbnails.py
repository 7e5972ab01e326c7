"""Small grey pictures of every image: all that the search for copies ever looks at.

Made from decoded pixels, a chunk at a time: an image takes 2.3 kB of memory, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EDGE = 48
CHUNK = 64
BLANK = 1.0  # grey levels by which the pixels of a blank image depart from those around them

Thumbnails = NDArray[np.uint8]  # (images, EDGE, EDGE)


def thumbnails(pixels: NDArray[np.uint8]) -> Iterator[tuple[int, Thumbnails]]:
    """Of an array (images, size, size, 3): the number of a chunk's first image, and the chunk."""
    for start in range(0, len(pixels), CHUNK):
        yield start, np.stack([_thumbnail(image) for image in pixels[start : start + CHUNK]])


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = Image.fromarray(image).convert("L")
    # Pillow's filter widens with the reduction: no pixel goes unseen, nothing aliases.
    return np.asarray(grey.resize((EDGE, EDGE), Image.Resampling.BILINEAR))


def blank(images: Thumbnails) -> NDArray[np.bool_]:
    """Which images show nothing but an even or slowly changing tone: all such are alike."""
    found = np.empty(len(images), bool)
    for start in range(0, len(images), CHUNK):
        values = images[start : start + CHUNK].astype(np.float32)
        edges = values[:, 1:-1, :-2] + values[:, 1:-1, 2:] + values[:, :-2, 1:-1]
        around = (edges + values[:, 2:, 1:-1]) / 4
        found[start : start + CHUNK] = (values[:, 1:-1, 1:-1] - around).std((1, 2)) < BLANK
    return found
