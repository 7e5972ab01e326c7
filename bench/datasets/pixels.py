"""Decoded images in the store: one uint8 array for each split and size, and how it is found again.

The address depends on the images' content alone. So a process that holds no more than a `Dataset`
read back from its JSON finds the pixels, and two data sets that share a split share its array.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.datasets.decode import DECODE_VERSION
from bench.datasets.listing import digest_of
from bench.errors import DatasetError
from bench.store import Draft, Entry, NoRoomError, Store
from bench.types import Dataset, Split, SplitName

KIND = "images"


def images(dataset: Dataset, split: SplitName, size: int, store: Store) -> Entry:
    """The stored array (images, size, size, 3), in the order of `dataset.splits[split].ids`."""
    entry = find(dataset.splits[split], size, store)
    if entry is None:
        raise DatasetError(
            f"the {split} images of {dataset.name} at {size} px are no longer in the cache "
            f"{store.root}; start the run again to decode them."
        )
    return entry


def find(split: Split, size: int, store: Store) -> Entry | None:
    return store.find(KIND, parts(split, size))


def draft(store: Store, room: int, description: str) -> Draft:
    """An array to be filled image by image; `room` is what all drafts of one pass need together.

    How many images there will be, and so the address, is known only once the last one was decoded.
    """
    try:
        return store.draft(KIND, description, room)
    except NoRoomError as error:
        raise DatasetError(
            f"there is no room for the decoded images in the cache {store.root}: {error}. "
            "Free some, allow the cache more, or use fewer or smaller images."
        ) from error


def parts(split: Split, size: int) -> dict[str, Any]:
    """What the address of a split's array is made of."""
    return {"decode": DECODE_VERSION, "size": size, "digests": digest_of(split.digests)}


def nbytes(counts: Mapping[SplitName, int], sizes: list[int]) -> int:
    """What the arrays of one pass take on disk, at the utmost."""
    return sum(counts.values()) * sum(size * size * 3 for size in sizes)
