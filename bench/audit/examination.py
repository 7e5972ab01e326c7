"""The audit itself: from a prepared data set to its findings, kept in the store.

the same file       by the digests that preparation left
near copies         thumbnails -> hashes -> candidates -> similarity -> above the bar
everything else     balance, files that could not be decoded, extensions that are wrong
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench import datasets
from bench.audit.balance import balance
from bench.audit.confirmation import LEAST
from bench.audit.copies import Copies, Progress, near_copies
from bench.audit.extensions import wrong_extensions
from bench.audit.findings import SCHEMA, Audit, Located, Pair
from bench.audit.search import NEAREST
from bench.audit.thumbnails import EDGE, Thumbnails, blank, thumbnails
from bench.datasets.listing import Reader, digest_of
from bench.files import to_json
from bench.records import structure
from bench.store import Draft, NoRoomError, Store, forget_pages
from bench.types import SPLITS, Dataset, SplitName

KIND = "audit"
VERSION = 1  # raise it with any change that may change a finding: audits kept are made anew
ROOM_FOR_AN_IMAGE = 1000  # bytes of JSON, about, where every image is in a pair
CROWDED_SHARE = 0.05
ALIKE_SHARE = 0.2

Embeddings = Mapping[SplitName, NDArray[np.floating]]


def examine(
    dataset: Dataset,
    store: Store,
    *,
    size: int,
    reader: Reader | None,
    embeddings: Embeddings | None,
    progress: Progress,
) -> Audit:
    """See `bench.audit.audit`."""
    parts = {
        "version": VERSION,
        "size": size,
        "fingerprint": dataset.fingerprint,
        "images": digest_of(id for split in SPLITS for id in dataset.splits[split].ids),
        "excluded": digest_of(f"{image.id}\t{image.reason}" for image in dataset.excluded),
        "files": reader is not None,
        "embeddings": None if embeddings is None else _digest(embeddings),
    }

    def make() -> Audit:
        return _examine(dataset, store, size, reader, embeddings, progress)

    def fill(draft: Draft) -> None:
        draft.append(np.frombuffer(to_json(dataclasses.asdict(make())).encode(), np.uint8))

    room = ROOM_FOR_AN_IMAGE * sum(len(split) for split in dataset.splits.values())
    try:
        entry = store.make(KIND, parts, f"{dataset.name} audit", room, fill)
    except NoRoomError:
        return make()
    found = structure(Audit, json.loads(entry.array().tobytes()))
    # The same images may have been looked at under another name.
    return dataclasses.replace(found, dataset=dataset.name)


def _examine(
    dataset: Dataset,
    store: Store,
    size: int,
    reader: Reader | None,
    embeddings: Embeddings | None,
    progress: Progress,
) -> Audit:
    images = [
        Located(id, split, label)
        for split in SPLITS
        for id, label in zip(dataset.splits[split].ids, dataset.splits[split].labels, strict=True)
    ]
    firsts, exact = _same_files(images, [d for s in SPLITS for d in dataset.splits[s].digests])
    small = _thumbnails(dataset, store, size, progress)
    telling = firsts[~blank(small[firsts])]
    vectors = None
    if embeddings is not None:
        vectors = np.concatenate([embeddings[split] for split in SPLITS])[telling]
    copies = near_copies(small[telling], vectors, progress)
    near = _near_pairs([images[number] for number in telling], copies)
    misnamed = None
    if reader is not None:
        ids = [image.id for image in images]
        misnamed = wrong_extensions(
            ids, reader, lambda done, total: progress("reading names", done, total)
        )
    return Audit(
        schema=SCHEMA,
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        images={split: len(dataset.splits[split]) for split in SPLITS},
        threshold=round(copies.bar, 3),
        compared=copies.compared,
        pairs=(*exact, *near),
        balance=balance(dataset),
        excluded=dataset.excluded,
        wrong_extensions=misnamed,
        notes=tuple(_notes(copies, near, len(telling), len(firsts) - len(telling))),
    )


def _same_files(
    images: Sequence[Located], digests: Sequence[str]
) -> tuple[NDArray[np.intp], list[Pair]]:
    """Where each file is met first, and each further one paired with that."""
    first: dict[str, int] = {}
    pairs = []
    for number, (image, digest) in enumerate(zip(images, digests, strict=True)):
        known = first.setdefault(digest, number)
        if known != number:
            pairs.append(Pair(images[known], image, "exact", 1.0))
    return np.array(list(first.values()), np.intp), pairs


def _thumbnails(dataset: Dataset, store: Store, size: int, progress: Progress) -> Thumbnails:
    total = sum(len(dataset.splits[split]) for split in SPLITS)
    found = np.empty((total, EDGE, EDGE), np.uint8)
    done = 0
    for split in SPLITS:
        pixels = datasets.images(dataset, split, size, store).array()
        for start, chunk in thumbnails(pixels):
            found[done + start : done + start + len(chunk)] = chunk
            forget_pages(pixels)
            progress("looking", done + start + len(chunk), total)
        done += len(pixels)
    return found


def _near_pairs(images: Sequence[Located], copies: Copies) -> list[Pair]:
    pairs = copies.pairs
    columns = zip(pairs.query, pairs.target, copies.similarity, pairs.mirrored, strict=True)
    found = [
        Pair(images[first], images[second], "near", round(float(similar), 3), bool(mirrored))
        for first, second, similar, mirrored in columns
    ]
    return sorted(found, key=lambda pair: (-pair.similarity, pair.first.id, pair.second.id))


def _notes(copies: Copies, near: Sequence[Pair], images: int, blanks: int) -> Iterator[str]:
    """What a reader must know before believing the pairs, or the lack of them."""
    if blanks:
        yield f"{blanks:,} images are blank or nearly so; of these, only equal files are told"
    if copies.upside_down:
        yield (
            f"{copies.upside_down:,} images, or more, have a copy upside down: such copies are not "
            "among the pairs. Leave out what was made by augmentation"
        )
    if copies.bar > LEAST:
        yield (
            f"the images are much alike: some that are no copies agree to {copies.bar:.2f}. Only "
            "copies above that are told from them; crops and other strong changes may be missed"
        )
    if copies.crowded > CROWDED_SHARE * images:
        yield (
            f"{copies.crowded:,} images look like more than {NEAREST} others at first sight; only "
            f"the nearest {NEAREST} of each were compared, and copies may be missed"
        )
    paired = len({image.id for pair in near for image in (pair.first, pair.second)})
    if paired > ALIKE_SHARE * images:
        yield (
            f"{paired / images:.0%} of the images have a near copy: frames of videos, or images "
            "that are alike by nature. Look at the pairs before dropping any"
        )


def _digest(embeddings: Embeddings) -> str:
    total = hashlib.sha256()
    for split in SPLITS:
        total.update(np.ascontiguousarray(embeddings[split]).tobytes())
    return total.hexdigest()
