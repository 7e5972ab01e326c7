"""The listing of a data set: its images' names, labels and splits, before anything is decoded.

Every data source returns a `Listing`; nothing after it depends on where the images come from.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.types import Dataset, Split, SplitName


@dataclass(frozen=True)
class ListedImage:
    """One image: a name that is unique in the data set, and the index of its class."""

    id: str
    label: int


# Returns the encoded image file of an id; `OSError` if it cannot be read. It must be thread-safe.
ReadImage = Callable[[str], bytes]


@dataclass(frozen=True)
class Listing:
    """Every image of a data set with its split and label, and how to read it."""

    name: str  # short, and safe as the name of a folder
    description: str  # the origin of the images and how they were split
    classes: tuple[str, ...]
    splits: Mapping[SplitName, tuple[ListedImage, ...]]
    read: ReadImage
    identity: str  # changes if any image may have changed; cheap to compute
    notes: tuple[str, ...] = ()  # facts to report
    groups: Mapping[str, str] = field(default_factory=dict)  # image id to group, where given


def digest_lines(lines: Iterable[str]) -> str:
    """Return the SHA-256 of the lines, each followed by a newline so that lists stay distinct."""
    total = hashlib.sha256()
    for line in lines:
        total.update(line.encode() + b"\n")
    return total.hexdigest()


MIN_TEST_IMAGES = 100
MIN_CLASS_IMAGES = 10  # training images of each class
MAX_IMBALANCE = 10  # ratio of the largest class to the smallest


def data_warnings(classes: Sequence[str], splits: Mapping[SplitName, Split]) -> tuple[str, ...]:
    """Return warnings about splits that are too small or uneven for reliable figures."""
    found = []
    test = len(splits["test"])
    if test < MIN_TEST_IMAGES:
        images = "image" if test == 1 else "images"
        found.append(
            f"only {test} test {images}: each is {100 / max(test, 1):.1f} points of accuracy"
        )
    counts = Counter(splits["train"].labels)
    by_size = sorted((counts[label], title) for label, title in enumerate(classes))
    (least, rarest), (most, commonest) = by_size[0], by_size[-1]
    if least < MIN_CLASS_IMAGES:
        images = "image" if least == 1 else "images"
        found.append(f"only {least} training {images} of class {rarest!r}")
    elif most >= MAX_IMBALANCE * least:
        found.append(
            f"classes are uneven: {most:,} training images of {commonest!r}, {least:,} of "
            f"{rarest!r}; accuracy favours the large ones"
        )
    return tuple(found)


def undecoded_dataset(listing: Listing) -> Dataset:
    """Return the listed images as a data set, as if all were usable: no digests, no fingerprint."""
    splits = {
        name: Split(tuple(i.id for i in split), tuple(i.label for i in split))
        for name, split in listing.splits.items()
    }
    return Dataset(
        name=listing.name,
        description=listing.description,
        classes=listing.classes,
        splits=splits,
        fingerprint="",
        notes=(*listing.notes, *data_warnings(listing.classes, splits)),
    )
