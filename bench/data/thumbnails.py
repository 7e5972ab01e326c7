"""Small pictures of the test images that reports show, kept with the run.

Reports read only the run's folder, and must still show an image when the data set and the cache are
gone. So the run keeps the few images that are a backbone's worst mistakes, in
`thumbnails/<place in the test split>.jpg`. The analysis decides which they are.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from PIL import Image

from bench.data import pixels
from bench.storage.cache import Store
from bench.system.files import write_atomic
from bench.types import Dataset

FOLDER = "thumbnails"
EDGE = 144
QUALITY = 80  # an image takes about 5 kB


def keep(
    folder: Path, places: Iterable[int], dataset: Dataset, sizes: Iterable[int], store: Store
) -> None:
    """Store the missing test images at `places`, from the largest decoded size.

    If the cache no longer has the pixels there are no pictures, and reports do without.
    """
    missing = [place for place in places if not _file(folder, place).exists()]
    if not missing:
        return
    for size in sorted(set(sizes), reverse=True):
        entry = pixels.find(dataset.splits["test"], size, store)
        if entry is not None:
            array = entry.array()
            for place in missing:
                write_atomic(_file(folder, place), _jpeg(Image.fromarray(array[place])))
            return


def read(folder: Path) -> Mapping[int, bytes]:
    """Read the kept pictures, as JPEG files, by place in the test split; skip unreadable ones."""
    found = {}
    for file in (folder / FOLDER).glob("*.jpg"):
        if file.stem.isdecimal() and file.is_file():
            with suppress(OSError):
                found[int(file.stem)] = file.read_bytes()
    return found


def _file(folder: Path, place: int) -> Path:
    return folder / FOLDER / f"{place:05d}.jpg"


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    small = image.resize((EDGE, EDGE), Image.Resampling.LANCZOS)
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
