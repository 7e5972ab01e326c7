"""Small pictures of the images that reports show, kept with the run.

Reports read only the run's folder, and must still show an image when the data set and the cache are
gone. So the run keeps the few images that are a backbone's worst mistakes, in
`thumbnails/<place in the test split>.jpg`, and the training images nearest to them, in
`thumbnails/train/`. The analysis decides which they are.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from PIL import Image

from bench.data import pixels
from bench.data.decode import Pixels
from bench.storage.cache import Store
from bench.system.files import write_atomic
from bench.types import Dataset, SplitName

FOLDER = "thumbnails"
EDGE = 144
SMALL = 72  # of a training image, shown next to another
QUALITY = 80  # an image takes about 5 kB


def shrink(pixels: Pixels, edge: int) -> Image.Image:
    """Return a decoded image as a small square picture."""
    return Image.fromarray(pixels).resize((edge, edge), Image.Resampling.LANCZOS)


def encode_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def store_thumbnails(
    folder: Path,
    places: Iterable[int],
    dataset: Dataset,
    sizes: Iterable[int],
    store: Store,
    split: SplitName = "test",
) -> None:
    """Store the missing images of a split at `places`, from the largest decoded size.

    If the cache no longer has the pixels there are no pictures, and reports do without.
    """
    missing = [place for place in places if not _thumbnail_path(folder, split, place).exists()]
    if not missing:
        return
    for size in sorted(set(sizes), reverse=True):
        entry = pixels.find_entry(dataset.splits[split], size, store)
        if entry is not None:
            array = entry.array()
            for place in missing:
                picture = shrink(array[place], EDGE if split == "test" else SMALL)
                write_atomic(_thumbnail_path(folder, split, place), encode_jpeg(picture))
            return


def read_thumbnails(folder: Path, split: SplitName = "test") -> Mapping[int, bytes]:
    """Read the kept pictures, as JPEG files, by place in the split; skip unreadable ones."""
    found = {}
    for file in _thumbnail_path(folder, split, 0).parent.glob("*.jpg"):
        if file.stem.isdecimal() and file.is_file():
            with suppress(OSError):
                found[int(file.stem)] = file.read_bytes()
    return found


def _thumbnail_path(folder: Path, split: SplitName, place: int) -> Path:
    return folder / FOLDER / ("" if split == "test" else split) / f"{place:05d}.jpg"
