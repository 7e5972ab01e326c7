"""Thumbnails of the images that reports show, stored in the run's folder.

Reports read only the run's folder, and must show images even if the data set and the cache have
been deleted. So the run keeps thumbnails of the backbones' worst mistakes, in
`thumbnails/<index in the test split>.jpg`, and of the training images nearest to them, in
`thumbnails/train/`. The analysis chooses the images.
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
TRAIN_EDGE = 72  # of a training image, shown next to a test image
QUALITY = 80  # a thumbnail takes about 5 kB


def shrink(pixels: Pixels, edge: int) -> Image.Image:
    """Return a decoded image as a thumbnail of `edge` x `edge` pixels."""
    return Image.fromarray(pixels).resize((edge, edge), Image.Resampling.LANCZOS)


def encode_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as the content of a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def store_thumbnails(
    folder: Path,
    indices: Iterable[int],
    dataset: Dataset,
    sizes: Iterable[int],
    store: Store,
    split: SplitName = "test",
) -> None:
    """Store the missing thumbnails of a split's images at `indices`, from the largest decoded size.

    Without the pixels in the cache no thumbnails are stored, and reports omit them.
    """
    missing = [index for index in indices if not _thumbnail_path(folder, split, index).exists()]
    if not missing:
        return
    for size in sorted(set(sizes), reverse=True):
        entry = pixels.find_entry(dataset.splits[split], size, store)
        if entry is not None:
            array = entry.array()
            for index in missing:
                picture = shrink(array[index], EDGE if split == "test" else TRAIN_EDGE)
                write_atomic(_thumbnail_path(folder, split, index), encode_jpeg(picture))
            return


def read_thumbnails(folder: Path, split: SplitName = "test") -> Mapping[int, bytes]:
    """Return the stored thumbnails as JPEG files, by index in the split; skip unreadable ones."""
    found = {}
    for file in _thumbnail_path(folder, split, 0).parent.glob("*.jpg"):
        if file.stem.isdecimal() and file.is_file():
            with suppress(OSError):
                found[int(file.stem)] = file.read_bytes()
    return found


def _thumbnail_path(folder: Path, split: SplitName, index: int) -> Path:
    return folder / FOLDER / ("" if split == "test" else split) / f"{index:05d}.jpg"
