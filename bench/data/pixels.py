"""Decoded images in the cache: one uint8 array for each split and size.

An array's key depends on the images' content only. So a process that has just a `Dataset` from JSON
finds the pixels, and two data sets that share a split share its array.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.decode import DECODE_VERSION
from bench.data.listing import digest_lines
from bench.errors import DatasetError
from bench.storage.cache import Draft, Entry, NoRoomError, NotKeptError, Store
from bench.system.memory import release_pages
from bench.types import SPLITS, Dataset, Split, SplitName

KIND = "images"
ROWS = 256  # images copied at a time


def get_entry(dataset: Dataset, split: SplitName, size: int, store: Store) -> Entry:
    """Return the entry with a split's images, (images, size, size, 3), in the order of its ids.

    `DatasetError` if the cache no longer has it.
    """
    entry = find_entry(dataset.splits[split], size, store)
    if entry is None:
        raise DatasetError(
            f"the {split} images of {dataset.name} at {size} px are no longer in the cache "
            f"{store.root}; start the run again to decode them."
        )
    return entry


def labels(dataset: Dataset, split: SplitName) -> NDArray[np.int64]:
    """Return the labels of a split's images, in the same order."""
    return np.asarray(dataset.splits[split].labels, dtype=np.int64)


def find_entry(split: Split, size: int, store: Store) -> Entry | None:
    """Return the entry with a split's images; None if the cache does not have it."""
    return store.find(KIND, cache_parts(split, size))


@contextmanager
def raise_dataset_errors(store: Store) -> Iterator[None]:
    """Turn a failure to store decoded images, without which training is impossible, into a
    `DatasetError`."""
    try:
        yield
    except NoRoomError as error:
        raise DatasetError(
            f"the decoded images do not fit into the cache {store.root}: {error}. "
            "Free some space, raise the cache's limit, or use fewer or smaller images."
        ) from error
    except NotKeptError as error:
        raise DatasetError(
            f"the decoded images cannot be stored: {error}. Make it writable, or name another "
            "folder with --cache."
        ) from error


def cache_parts(split: Split, size: int) -> dict[str, Any]:
    """Return the parts of the cache key of a split's array."""
    return {"decode": DECODE_VERSION, "size": size, "digests": digest_lines(split.digests)}


def array_bytes(count: int, size: int) -> int:
    """Return the bytes of an array of `count` images."""
    return count * size * size * 3


def is_stored(dataset: Dataset, size: int, store: Store) -> bool:
    """Return whether the cache has the images of all splits at this size."""
    return all(find_entry(dataset.splits[split], size, store) is not None for split in SPLITS)


def fingerprint(classes: Sequence[str], splits: Mapping[SplitName, Split]) -> str:
    """Return the hash of all that affects results: classes, labels, content, order, decoding."""
    lines = [f"decode {DECODE_VERSION}", *(f"class {title!r}" for title in classes)]
    for split in SPLITS:
        each = zip(splits[split].labels, splits[split].digests, strict=True)
        lines += [f"{split} {label} {digest}" for label, digest in each]
    return digest_lines(lines)


def drop_images(
    dataset: Dataset, ids: Collection[str], sizes: Sequence[int], *, store: Store, note: str
) -> Dataset:
    """Return `dataset` without the images `ids`, and store its arrays at all `sizes`.

    `note` says why they are left out. `DatasetError` if a class would have no image left.
    """
    unwanted = set(ids)
    splits = dict(dataset.splits)
    for name, split in dataset.splits.items():
        kept = np.array([id not in unwanted for id in split.ids])
        if kept.all():
            continue
        _check_classes_remain(dataset, name, kept)
        rows = np.flatnonzero(kept)
        splits[name] = Split(
            ids=tuple(split.ids[row] for row in rows),
            labels=tuple(split.labels[row] for row in rows),
            digests=tuple(split.digests[row] for row in rows),
        )
        for size in sizes if not store.read_only else ():
            _copy_rows(dataset, name, splits[name], rows, size, store)
    return replace(
        dataset,
        splits=splits,
        fingerprint=fingerprint(dataset.classes, splits),
        notes=(*dataset.notes, note),
        wrong_extensions=tuple(w for w in dataset.wrong_extensions if w.id not in unwanted),
    )


def _check_classes_remain(dataset: Dataset, name: SplitName, kept: NDArray[np.bool_]) -> None:
    found = labels(dataset, name)
    for label, title in enumerate(dataset.classes):
        if not (kept & (found == label)).any():
            raise DatasetError(
                f"all {(found == label).sum():,} {name} images of class {title!r} would be left "
                "out as copies of images in other splits. Use other images, or --on-leak warn."
            )


def _copy_rows(
    dataset: Dataset, name: SplitName, split: Split, rows: NDArray[np.intp], size: int, store: Store
) -> None:
    whole = get_entry(dataset, name, size, store)

    def rows_of() -> Iterator[NDArray[np.uint8]]:
        pixels = whole.array()
        for start in range(0, len(rows), ROWS):
            yield pixels[rows[start : start + ROWS]]
            release_pages(pixels)

    # The cost is that of decoding these images, as in a trial with cold caches.
    cost = whole.cost_seconds * len(rows) / len(whole.array())
    store_images(split, size, rows_of(), whole.description, cost, store)


def store_images(
    split: Split,
    size: int,
    pieces: Iterable[NDArray[np.uint8]],
    description: str,
    cost_seconds: float,
    store: Store,
) -> None:
    """Store a split's decoded images, given in pieces, unless the cache has them."""

    def fill(draft: Draft) -> None:
        for piece in pieces:
            draft.append(piece)

    room = array_bytes(len(split), size)
    with raise_dataset_errors(store):
        store.get_or_create(KIND, cache_parts(split, size), description, room, fill, cost_seconds)
