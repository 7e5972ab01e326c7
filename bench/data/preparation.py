"""From a listing to a data set for training: every image decoded once, unusable ones excluded.

The outcomes of a pass over the files (each image's digest, a wrong extension, or why it is
unusable) are cached as a manifest under the listing's identity. So a later run reads no image, and
a changed file causes a new pass. Each run tries to read files that could not be read before; if one
can be read, that causes a new pass, too.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bench.data.decode import (
    DECODE_VERSION,
    THREADS,
    BadImageError,
    Pixels,
    decode,
    decode_in_threads,
    mismatched_format,
    unusable_reason,
)
from bench.data.listing import (
    Listing,
    ReadImage,
    data_warnings,
    digest_lines,
    undecoded_dataset,
)
from bench.data.pixels import KIND as PIXELS
from bench.data.pixels import (
    array_bytes,
    cache_parts,
    drop_images,
    fingerprint,
    is_stored,
    raise_dataset_errors,
)
from bench.errors import DatasetError
from bench.storage.cache import Draft, Store
from bench.types import SPLITS, Dataset, Excluded, Split, SplitName, WrongExtension

KIND = "manifest"
VERSION = 3  # raise it when manifests get more content
WINDOW = 4 * THREADS  # images decoded ahead of the one being written: a limit on memory


@dataclass(frozen=True)
class _Outcome:
    """The outcome of decoding one image: its digest, or the reason why it is excluded."""

    digest: str = ""
    format: str = ""  # of the content, if the extension is wrong
    reason: str = ""
    unread: bool = False  # the file could not be read; the next run tries again


Outcomes = Mapping[str, _Outcome]
Examined = tuple[_Outcome, Mapping[int, Pixels]]


def prepare(
    listing: Listing,
    sizes: Sequence[int],
    *,
    store: Store,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Dataset:
    """Return the prepared data set; decode what the cache lacks, at all `sizes` in one pass.

    `progress(done, total)` counts images; it is not called if nothing has to be read.
    """
    _check_classes(listing)
    wanted = sorted(set(sizes))
    with store.lock(KIND, _manifest_parts(listing)), raise_dataset_errors(store):
        # A pass may find that files changed although their dates did not. Then the sizes decoded
        # earlier are out of date as well, and a second pass decodes them again.
        for _ in range(2):
            dataset, missing = _find_prepared(listing, wanted, store)
            if dataset is not None and not missing:
                return dataset
            _decode_all(listing, missing, store, progress)
        dataset, missing = _find_prepared(listing, wanted, store)
    if dataset is None or missing:
        raise DatasetError(
            f"the decoded images of {listing.name} were deleted from the cache {store.root}, or "
            "its files change while they are read; make sure that nothing else deletes or changes "
            "them, and try again."
        )
    return dataset


def load_prepared(listing: Listing, sizes: Sequence[int], *, store: Store) -> Dataset | None:
    """Return the prepared data set if the cache has all of it, otherwise None; decode nothing."""
    _check_classes(listing)
    dataset, missing = _find_prepared(listing, sorted(set(sizes)), store)
    return None if missing else dataset


def restore_pixels(
    listing: Listing, dataset: Dataset, sizes: Sequence[int], *, store: Store
) -> None:
    """Decode again the images that were deleted from the cache.

    `dataset` was prepared from `listing` earlier, and may lack some of its images. `DatasetError`
    if the files have changed since.
    """
    if all(is_stored(dataset, size, store) for size in sizes):
        return
    whole = prepare(listing, sizes, store=store)
    there = {id for split in dataset.splits.values() for id in split.ids}
    unwanted = [id for split in whole.splits.values() for id in split.ids if id not in there]
    again = drop_images(whole, unwanted, sizes, store=store, note="")
    if again.fingerprint != dataset.fingerprint:
        raise DatasetError(
            f"the images of {dataset.name} are no longer in the cache {store.root}, and the files "
            "have changed since the run began. Restore them, or start another run."
        )


def _find_prepared(
    listing: Listing, sizes: list[int], store: Store
) -> tuple[Dataset | None, list[int]]:
    """Return the data set from the cached manifest, or None, and the sizes that are not cached."""
    outcomes = _load_outcomes(listing, store)
    if outcomes is None:
        return None, sizes
    dataset = _build_dataset(listing, outcomes)
    return dataset, [size for size in sizes if not is_stored(dataset, size, store)]


def _decode_all(
    listing: Listing, sizes: list[int], store: Store, progress: Callable[[int, int], None]
) -> None:
    """Decode all images in one pass; store the manifest and the arrays."""
    start = time.perf_counter()
    counts = {split: len(listing.splits[split]) for split in SPLITS}
    total = sum(counts.values())
    each = [(split, size) for split in SPLITS for size in sizes]
    outcomes: dict[str, _Outcome] = {}
    manifest = store.begin_draft(KIND, f"{listing.name} manifest", 32 * total)
    writers: dict[tuple[SplitName, int], Draft] = {}
    try:
        wanted = [
            (f"{listing.name} {s} {size} px", array_bytes(counts[s], size)) for s, size in each
        ]
        writers.update(zip(each, store.begin_drafts(PIXELS, wanted), strict=True))
        images = [(split, image.id) for split in SPLITS for image in listing.splits[split]]
        work = partial(_examine, listing.read, sizes)
        with decode_in_threads(work, [id for _, id in images], WINDOW) as found:
            for (split, id), (outcome, squares) in zip(images, found, strict=True):
                outcomes[id] = outcome
                for size, square in squares.items():
                    writers[split, size].append(square[None])
                progress(len(outcomes), total)
        _store_outcomes(listing, outcomes, manifest, time.perf_counter() - start)
        dataset = _build_dataset(listing, outcomes)
        seconds = time.perf_counter() - start
        for (split, size), writer in writers.items():
            # Reading and decoding are shared: one size alone would cost nearly as much.
            cost = seconds * counts[split] / total
            writer.commit(cache_parts(dataset.splits[split], size), cost)
    finally:
        for writer in (manifest, *writers.values()):
            writer.discard()


def _examine(read: ReadImage, sizes: Sequence[int], id: str) -> Examined:
    try:
        data = read(id)
        squares = decode(data, sizes)
    except (OSError, BadImageError) as error:
        return _Outcome(reason=unusable_reason(error), unread=isinstance(error, OSError)), {}
    return _Outcome(
        digest=hashlib.sha256(data).hexdigest(), format=mismatched_format(id, data)
    ), squares


def _manifest_parts(listing: Listing) -> dict[str, Any]:
    members = (
        f"{split}\t{image.label}\t{image.id}" for split in SPLITS for image in listing.splits[split]
    )
    return {
        "version": VERSION,
        "decode": DECODE_VERSION,
        "identity": listing.identity,
        "classes": list(listing.classes),
        "members": digest_lines(members),
    }


def _load_outcomes(listing: Listing, store: Store) -> Outcomes | None:
    """Return the outcomes of the last pass from the manifest; None if there is no manifest, or if
    a file that could not be read then can be read now."""
    entry = store.find(KIND, _manifest_parts(listing))
    if entry is None:
        return None
    reasons: Mapping[str, str] = entry.extra["excluded"]
    formats: Mapping[str, str] = entry.extra["formats"]
    unread = {id: _retry_read(id, listing.read) for id in entry.extra["unread"]}
    if not all(unread.values()):
        return None
    known = unread | {id: _Outcome(reason=reason) for id, reason in reasons.items()}
    ids = [image.id for split in SPLITS for image in listing.splits[split]]
    return {
        id: known.get(id) or _Outcome(digest=row.tobytes().hex(), format=formats.get(id, ""))
        for id, row in zip(ids, entry.array(), strict=True)
    }


def _retry_read(id: str, read: ReadImage) -> _Outcome | None:
    """Return the outcome of an image that still cannot be read; None if it can."""
    try:
        read(id)
    except OSError as error:
        return _Outcome(reason=unusable_reason(error), unread=True)
    return None


def _store_outcomes(listing: Listing, outcomes: Outcomes, manifest: Draft, seconds: float) -> None:
    digests = [bytes.fromhex(outcome.digest or "00" * 32) for outcome in outcomes.values()]
    manifest.append(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32))
    found = {
        "excluded": {id: o.reason for id, o in outcomes.items() if o.reason and not o.unread},
        "formats": {id: o.format for id, o in outcomes.items() if o.format},
        "unread": [id for id, o in outcomes.items() if o.unread],
    }
    # Replace: in an earlier pass the same files may have had other content.
    manifest.commit(_manifest_parts(listing), seconds, found, replace=True)


def _check_classes(listing: Listing) -> None:
    if len(listing.classes) < 2:
        raise DatasetError(
            f"{listing.name} has {len(listing.classes)} class(es); at least 2 are needed."
        )
    for split in SPLITS:
        there = {image.label for image in listing.splits[split]}
        for label, title in enumerate(listing.classes):
            if label not in there:
                raise DatasetError(
                    f"{listing.name} has no image of class {title!r} in {split}; every split needs "
                    "every class."
                )


def _build_dataset(listing: Listing, outcomes: Outcomes) -> Dataset:
    """Return the listing without unusable images; DatasetError if a class has none left."""
    splits: dict[SplitName, Split] = {}
    excluded: list[Excluded] = []
    for split in SPLITS:
        good = [image for image in listing.splits[split] if outcomes[image.id].digest]
        bad = [image for image in listing.splits[split] if outcomes[image.id].reason]
        excluded += [Excluded(image.id, outcomes[image.id].reason) for image in bad]
        usable = Counter(image.label for image in good)
        for label, title in enumerate(listing.classes):
            if not usable[label]:
                lost = [image for image in bad if image.label == label]
                raise DatasetError(
                    f"class {title!r} has no usable image in {split}: all {len(lost)} are bad "
                    f"({lost[0].id}: {outcomes[lost[0].id].reason}). Replace them or remove the "
                    "class."
                )
        splits[split] = Split(
            ids=tuple(image.id for image in good),
            labels=tuple(image.label for image in good),
            digests=tuple(outcomes[image.id].digest for image in good),
        )
    return replace(
        undecoded_dataset(listing),
        splits=splits,
        notes=(*listing.notes, *data_warnings(listing.classes, splits)),  # of usable images
        fingerprint=fingerprint(listing.classes, splits),
        excluded=tuple(excluded),
        wrong_extensions=tuple(
            WrongExtension(id, outcomes[id].format)
            for split in SPLITS
            for id in splits[split].ids
            if outcomes[id].format
        ),
    )
