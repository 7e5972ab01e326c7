"""The audit before a run, which decides whether, and on which images, to train.

Its findings are cached by the content of the images:

same files        equal digests, from preparation
near copies       thumbnails -> hashes -> candidates -> similarity above the threshold
other findings    class balance, broken groups, undecodable images, wrong extensions
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data import pixels
from bench.data.audit.copies import MIN_SIMILARITY, Copies, StageProgress, find_near_copies
from bench.data.audit.hashing import CHUNK, EDGE, Thumbnails, is_blank, make_thumbnails
from bench.data.audit.result import (
    FILE,
    SCHEMA,
    Audit,
    Balance,
    BrokenGroup,
    ImagePair,
    KeptAudit,
    LocatedImage,
    leak_text,
    leaked_test_ids,
    train_ids_to_drop,
    validation_ids_to_drop,
)
from bench.data.audit.search import NEAREST
from bench.data.listing import Listing, digest_lines
from bench.data.thumbnails import encode_jpeg, shrink
from bench.errors import DatasetError
from bench.storage.cache import Store
from bench.system.files import from_json, to_json
from bench.system.memory import release_pages
from bench.types import SPLITS, Dataset, OnLeak

MIN_SIZE = 96  # pixels: the search needs 48, and pictures of the pairs more
MAX_PICTURES = 24  # pairs of which the run keeps a picture
SIDE = 128  # pixels of one image in a picture
GAP = 4

KIND = "audit"
VERSION = 3  # raise it with any change that may change a finding: cached audits are repeated
CROWDED_SHARE = 0.05
ALIKE_SHARE = 0.2

NOT_AUDITED = "the images were not audited (--no-audit): copies of test images may be in train"


def audit_dataset(
    listing: Listing,
    dataset: Dataset,
    sizes: Sequence[int],
    *,
    store: Store,
    on_leak: OnLeak,
    progress: StageProgress = lambda stage, done, total: None,
) -> tuple[Dataset, KeptAudit]:
    """Return the data set to train on, and its audit.

    `dataset` was prepared from `listing` at `sizes`. With `on_leak="drop"` it loses the images of
    which a later split has a copy; with "fail", a leak raises `DatasetError`.
    """
    start = time.perf_counter()
    found = find_audit(listing, dataset, store, size=audit_size(sizes), progress=progress)
    leaked = leaked_test_ids(found)
    if leaked and on_leak == "fail":
        raise DatasetError(
            f"{leak_text(found)}. Remove them, or use --on-leak drop to train without them."
        )
    dropped = (*train_ids_to_drop(found), *validation_ids_to_drop(found))
    if on_leak == "drop" and dropped:
        note = f"left out of train and validation, as copies of later splits: {len(dropped):,}"
        dataset = pixels.drop_images(dataset, dropped, sizes, store=store, note=note)
    else:
        dropped = ()
    seconds = time.perf_counter() - start
    pictures = tuple(
        f"audit/{n:03d}.jpg" for n in range(1, min(MAX_PICTURES, len(found.pairs)) + 1)
    )
    return dataset, KeptAudit(found, leaked, on_leak, dropped, seconds, pictures)


def audit_size(sizes: Sequence[int]) -> int:
    """Return the smallest decoded size that is large enough for the audit, or the largest."""
    return min((size for size in sizes if size >= MIN_SIZE), default=max(sizes))


def audit_files(
    kept: KeptAudit | None, dataset: Dataset, sizes: Sequence[int], *, store: Store
) -> Mapping[str, bytes]:
    """Return the files of an audit in a run's folder, by path.

    Besides the findings, these are pictures that show the two images of a pair side by side.
    """
    if kept is None:
        return {}
    found = {FILE: to_json(kept).encode()}
    if not kept.pictures:
        return found
    splits, size = dataset.splits, audit_size(sizes)
    arrays = {name: pixels.get_entry(dataset, name, size, store).array() for name in splits}
    index = {(name, id): i for name, split in splits.items() for i, id in enumerate(split.ids)}
    for path, pair in zip(kept.pictures, kept.audit.pairs, strict=False):
        both = Image.new("RGB", (2 * SIDE + GAP, SIDE), "white")
        for side, image in enumerate((pair.first, pair.second)):
            decoded = arrays[image.split][index[image.split, image.id]]
            both.paste(shrink(decoded, SIDE), (side * (SIDE + GAP), 0))
        found[path] = encode_jpeg(both)
    return found


def find_audit(
    listing: Listing, dataset: Dataset, store: Store, *, size: int, progress: StageProgress
) -> Audit:
    """Return the audit of a prepared data set, cached by the content of its images."""
    parts = {
        "version": VERSION,
        "size": size,
        "fingerprint": dataset.fingerprint,
        "images": digest_lines(id for split in SPLITS for id in dataset.splits[split].ids),
        "excluded": digest_lines(f"{image.id}\t{image.reason}" for image in dataset.excluded),
        "groups": digest_lines(f"{id}\t{group}" for id, group in sorted(listing.groups.items())),
    }

    def compute() -> NDArray[np.uint8]:
        audit = _compute_audit(listing, dataset, store, size, progress)
        return np.frombuffer(to_json(audit).encode(), np.uint8)

    kept = store.get_or_compute(KIND, parts, f"{dataset.name} audit", compute)
    found = from_json(kept.tobytes(), Audit)
    # The same images may have been audited under another name.
    return dataclasses.replace(found, dataset=dataset.name)


def _compute_audit(
    listing: Listing, dataset: Dataset, store: Store, size: int, progress: StageProgress
) -> Audit:
    images = [
        LocatedImage(id, split, label)
        for split in SPLITS
        for id, label in zip(dataset.splits[split].ids, dataset.splits[split].labels, strict=True)
    ]
    firsts, exact = _pair_same_files(images, [d for s in SPLITS for d in dataset.splits[s].digests])
    tiny = _thumbnails(dataset, store, size, progress)
    telling = firsts[~is_blank(tiny[firsts])]
    copies = find_near_copies(tiny[telling], progress)
    near = _near_pairs([images[number] for number in telling], copies)
    return Audit(
        schema=SCHEMA,
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        images={split: len(dataset.splits[split]) for split in SPLITS},
        threshold=round(copies.threshold, 3),
        compared=copies.compared,
        pairs=tuple(sorted((*exact, *near), key=_harm_order)),
        broken_groups=_broken_groups(images, listing.groups),
        balance=tuple(_balance(dataset)),
        excluded=dataset.excluded,
        wrong_extensions=dataset.wrong_extensions,
        notes=tuple(_notes(copies, near, len(telling), len(firsts) - len(telling))),
    )


def _pair_same_files(
    images: Sequence[LocatedImage], digests: Sequence[str]
) -> tuple[NDArray[np.intp], list[ImagePair]]:
    """Return the index of the first image of each file, and each further image paired with it."""
    first: dict[str, int] = {}
    pairs = []
    for i, (image, digest) in enumerate(zip(images, digests, strict=True)):
        known = first.setdefault(digest, i)
        if known != i:
            pairs.append(ImagePair(images[known], image, "exact", 1.0))
    return np.array(list(first.values()), np.intp), pairs


def _thumbnails(dataset: Dataset, store: Store, size: int, progress: StageProgress) -> Thumbnails:
    total = sum(len(dataset.splits[split]) for split in SPLITS)
    found = np.empty((total, EDGE, EDGE), np.uint8)
    done = 0
    for split in SPLITS:
        decoded = pixels.get_entry(dataset, split, size, store).array()
        for start in range(0, len(decoded), CHUNK):
            chunk = make_thumbnails(decoded[start : start + CHUNK])
            found[done : done + len(chunk)] = chunk
            done += len(chunk)
            release_pages(decoded)
            progress("looking", done, total)
    return found


def _near_pairs(images: Sequence[LocatedImage], copies: Copies) -> list[ImagePair]:
    pairs = copies.pairs
    columns = zip(pairs.query, pairs.target, copies.similarity, pairs.mirrored, strict=True)
    return [
        ImagePair(images[first], images[second], "near", round(float(similar), 3), bool(mirrored))
        for first, second, similar, mirrored in columns
    ]


def _harm_order(pair: ImagePair) -> tuple[bool, bool, float, str, str]:
    return (not pair.conflicting, not pair.across, -pair.similarity, pair.first.id, pair.second.id)


def _broken_groups(
    images: Sequence[LocatedImage], groups: Mapping[str, str]
) -> tuple[BrokenGroup, ...]:
    members: dict[str, list[LocatedImage]] = defaultdict(list)
    for image in images:
        if image.id in groups:
            members[groups[image.id]].append(image)
    return tuple(
        BrokenGroup(name, tuple(found))
        for name, found in sorted(members.items())
        if len({image.split for image in found}) > 1
    )


def _balance(dataset: Dataset) -> Iterator[Balance]:
    for name, split in dataset.splits.items():
        counts = Counter(split.labels)
        yield Balance(name, tuple(counts[label] for label in range(len(dataset.classes))))


def _notes(copies: Copies, near: Sequence[ImagePair], images: int, blanks: int) -> Iterator[str]:
    """Yield notes on the limits of the search for copies."""
    if blanks:
        are = "1 image is" if blanks == 1 else f"{blanks:,} images are"
        yield f"{are} blank or nearly so; of these, only identical files are found"
    if copies.upside_down:
        yield (
            f"at least {copies.upside_down:,} images have an upside-down copy: such copies are not "
            "among the pairs. Remove images made by augmentation"
        )
    if copies.threshold > MIN_SIMILARITY:
        yield (
            f"the images are very similar: some that are not copies have a similarity of up to "
            f"{copies.threshold:.2f}. Only copies above that are found; crops and other strong "
            "changes may be missed"
        )
    if copies.crowded > CROWDED_SHARE * images:
        yield (
            f"{copies.crowded:,} images have hashes similar to more than {NEAREST} others; only "
            f"the nearest {NEAREST} of each were compared, so copies may be missed"
        )
    paired = len({image.id for pair in near for image in (pair.first, pair.second)})
    if paired > ALIKE_SHARE * images:
        yield (
            f"{paired / images:.0%} of the images have a near copy: frames of videos, or images "
            "that are naturally similar. Look at the pairs before dropping any"
        )
