"""A data set without some of its images, and its pixels in the store.

Nothing is decoded again unless it was deleted from the store. The user's files are not changed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.data.listing import Listing
from bench.data.pixels import KIND, find, images, keeping, nbytes, parts
from bench.data.preparation import fingerprint, prepare, stored
from bench.errors import DatasetError
from bench.storage.cache import Store, forget_pages
from bench.types import Dataset, Split, SplitName

ROWS = 256


def leave_out(
    dataset: Dataset, ids: Collection[str], sizes: Sequence[int], *, store: Store, note: str
) -> Dataset:
    """Return `dataset` without the images `ids`, at all `sizes`; `note` says why.

    `DatasetError` where that would leave a class without images.
    """
    unwanted = set(ids)
    splits = dict(dataset.splits)
    for name, split in dataset.splits.items():
        kept = np.array([id not in unwanted for id in split.ids])
        if kept.all():
            continue
        _check(dataset, name, kept)
        rows = np.flatnonzero(kept)
        splits[name] = Split(
            ids=tuple(split.ids[row] for row in rows),
            labels=tuple(split.labels[row] for row in rows),
            digests=tuple(split.digests[row] for row in rows),
        )
        for size in sizes if not store.read_only else ():
            _copy(dataset, name, splits[name], rows, size, store)
    return replace(
        dataset,
        splits=splits,
        fingerprint=fingerprint(dataset.classes, splits),
        notes=(*dataset.notes, note),
        wrong_extensions=tuple(w for w in dataset.wrong_extensions if w.id not in unwanted),
    )


def restore(listing: Listing, dataset: Dataset, sizes: Sequence[int], *, store: Store) -> None:
    """Decode again what was deleted from the store.

    `dataset` is `listing`, prepared earlier, perhaps without some images. `DatasetError` if its
    files have changed.
    """
    if all(stored(dataset, size, store) for size in sizes):
        return
    whole = prepare(listing, sizes, store=store)
    there = {id for split in dataset.splits.values() for id in split.ids}
    unwanted = [id for split in whole.splits.values() for id in split.ids if id not in there]
    again = leave_out(whole, unwanted, sizes, store=store, note="")
    if again.fingerprint != dataset.fingerprint:
        raise DatasetError(
            f"the images of {dataset.name} are no longer in the cache {store.root}, and the files "
            "have changed since the run began. Restore them, or start another run."
        )


def _check(dataset: Dataset, name: SplitName, kept: NDArray[np.bool_]) -> None:
    labels = np.asarray(dataset.splits[name].labels)
    for label, title in enumerate(dataset.classes):
        if not (kept & (labels == label)).any():
            raise DatasetError(
                f"all {(labels == label).sum():,} {name} images of class {title!r} would be left "
                "out, as copies of images in other splits. Give other images, or --on-leak warn."
            )


def _copy(
    dataset: Dataset,
    name: SplitName,
    split: Split,
    rows: NDArray[np.intp],
    size: int,
    store: Store,
) -> None:
    whole = images(dataset, name, size, store)
    with store.lock(KIND, parts(split, size)), keeping(store):
        if find(split, size, store) is not None:
            return
        pixels = whole.array()
        writer = store.draft(KIND, whole.description, nbytes(len(rows), size))
        try:
            for start in range(0, len(rows), ROWS):
                writer.append(pixels[rows[start : start + ROWS]])
                forget_pages(pixels)
            # The time to decode these images, which a trial from cold caches would take.
            cost = whole.cost_seconds * len(rows) / len(pixels)
            writer.commit(parts(split, size), cost)
        finally:
            writer.discard()
