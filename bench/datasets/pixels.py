"""Decoded images in the store: one uint8 array for each split and size, and how it is found again.

The address depends on the images' content alone. So a process that holds no more than a `Dataset`
read back from its JSON finds the pixels, and two data sets that share a split share its array.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.datasets.decode import DECODE_VERSION, Pixels
from bench.datasets.listing import digest_of
from bench.errors import DatasetError
from bench.store import Entry, NoRoomError, Store
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
    return store.find(KIND, _parts(split, size))


class Writer:
    """Fills the array of one split at one size, image by image, without holding it in memory.

    How many images there will be, and so the address, is known only once the last one was decoded.
    Rows go through a plain file: written pages of a memory map would count as memory of this
    process, and a full disk would kill it without a word.
    """

    def __init__(self, store: Store, size: int, room: int, description: str) -> None:
        """`room` is what all writers of one pass need together: they grow side by side."""
        self._store, self._size, self._description = store, size, description
        try:
            self._draft = store.draft(KIND, {}, description, room)
        except NoRoomError as error:
            raise DatasetError(
                f"there is no room for the decoded images in the cache {store.root}: {error}. "
                "Free some, allow the cache more, or use fewer or smaller images."
            ) from error
        self._file = (self._draft.path / "data.npy").open("wb")
        self._rows = 0
        self._write_header()
        self._start = self._file.tell()

    def add(self, pixels: Pixels) -> None:
        self._file.write(pixels.data)
        self._rows += 1

    def commit(self, split: Split, cost_seconds: float) -> Entry:
        """Publish what was written; it is the images of `split`, in its order."""
        self._file.seek(0)
        self._write_header()
        if self._file.tell() != self._start:
            raise OSError("the header of an array changed its length with the number of rows")
        self._file.close()
        final = self._store.draft(KIND, _parts(split, self._size), self._description, 0)
        (self._draft.path / "data.npy").replace(final.path / "data.npy")
        final.array = np.load(final.path / "data.npy", mmap_mode="r")
        return final.commit(cost_seconds)

    def discard(self) -> None:
        """Remove what is left; nothing is, once it was committed."""
        self._file.close()
        self._draft.discard()

    def _write_header(self) -> None:
        # Padded by numpy such that the first axis can be rewritten in place.
        shape = (self._rows, self._size, self._size, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def nbytes(counts: Mapping[SplitName, int], sizes: list[int]) -> int:
    """What the arrays of one pass take on disk, at the utmost."""
    return sum(counts.values()) * sum(size * size * 3 for size in sizes)


def _parts(split: Split, size: int) -> dict[str, Any]:
    return {"decode": DECODE_VERSION, "size": size, "digests": digest_of(split.digests)}
