"""Decoded images in the store: one uint8 array for each split and size, and how it is found again.

The address depends on the images' content alone. So a process that only has a `Dataset` read from
JSON finds the pixels, and two data sets that share a split share its array.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.data.decode import DECODE_VERSION
from bench.data.listing import digest_of
from bench.errors import DatasetError
from bench.storage.cache import Entry, NoRoomError, NotKeptError, Store
from bench.types import Dataset, Split, SplitName

KIND = "images"


def images(dataset: Dataset, split: SplitName, size: int, store: Store) -> Entry:
    """Return the array (images, size, size, 3), in the order of `dataset.splits[split].ids`."""
    entry = find(dataset.splits[split], size, store)
    if entry is None:
        raise DatasetError(
            f"the {split} images of {dataset.name} at {size} px are no longer in the cache "
            f"{store.root}; start the run again to decode them."
        )
    return entry


def find(split: Split, size: int, store: Store) -> Entry | None:
    return store.find(KIND, parts(split, size))


@contextmanager
def keeping(store: Store) -> Iterator[None]:
    """Turn a failure to store decoded images, which training needs, into a `DatasetError`."""
    try:
        yield
    except NoRoomError as error:
        raise DatasetError(
            f"there is no room for the decoded images in the cache {store.root}: {error}. "
            "Free some space, raise the cache's limit, or use fewer or smaller images."
        ) from error
    except NotKeptError as error:
        raise DatasetError(
            f"the decoded images cannot be stored: {error}. Make it writable, or name another "
            "folder with --cache."
        ) from error


def parts(split: Split, size: int) -> dict[str, Any]:
    """Return what identifies a split's array in the cache."""
    return {"decode": DECODE_VERSION, "size": size, "digests": digest_of(split.digests)}


def nbytes(count: int, size: int) -> int:
    """Return the size of the array of this many images."""
    return count * size * size * 3
