"""The result of an audit: pairs of copies, other findings, leaked test images, images to drop.

Validation images choose epochs and learning rates, so a copy of a test image does harm there, too.
Clusters of connected images count, not pairs: in a burst of photographs the first and the last may
differ, although both show the same moment. The files in a run's folder:

    audit.json        a `KeptAudit`
    audit/NNN.jpg     pictures of the pairs
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from bench.storage.run_folder import REWRITE_REMEDY, read_json
from bench.types import Excluded, OnLeak, SplitName, WrongExtension

SCHEMA = 1  # raise it when a field changes its meaning
FILE = "audit.json"
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class LocatedImage:
    """One image with its split and label."""

    id: str
    split: SplitName
    label: int


@dataclass(frozen=True)
class ImagePair:
    """Two images that are the same file, or near copies of each other.

    If a file occurs several times, each further image is paired with the first one, which
    represents them all in near pairs.
    """

    first: LocatedImage
    second: LocatedImage
    kind: Literal["exact", "near"]
    similarity: float  # 1.0 for the same file; otherwise that of the aligned images' details
    mirrored: bool = False

    @property
    def across(self) -> bool:
        """Return whether the two images are in different splits."""
        return self.first.split != self.second.split

    @property
    def conflicting(self) -> bool:
        """Return whether the two images have different labels."""
        return self.first.label != self.second.label


@dataclass(frozen=True)
class BrokenGroup:
    """A user's group of images that is spread over several splits."""

    name: str
    images: tuple[LocatedImage, ...]


@dataclass(frozen=True)
class Balance:
    """The number of images of each class in a split, in the order of the classes."""

    split: SplitName
    counts: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """Return the size of the largest class divided by that of the smallest."""
        return max(self.counts) / min(self.counts)


@dataclass(frozen=True)
class Audit:
    """All findings; they depend only on the images, not on time or machine."""

    schema: int
    dataset: str
    fingerprint: str
    classes: tuple[str, ...]
    images: Mapping[SplitName, int]
    threshold: float  # the similarity from which two images count as near copies
    compared: int  # pairs whose pixels were compared
    pairs: tuple[ImagePair, ...]  # the most harmful first: other labels, then other splits
    broken_groups: tuple[BrokenGroup, ...]
    balance: tuple[Balance, ...]
    excluded: tuple[Excluded, ...]  # images that could not be read or decoded
    wrong_extensions: tuple[WrongExtension, ...]
    notes: tuple[str, ...] = ()

    @property
    def conflicts(self) -> tuple[ImagePair, ...]:
        """Return the pairs with different labels, of which at least one is wrong."""
        return tuple(pair for pair in self.pairs if pair.conflicting)

    def pairs_of(self, kind: str, *, across: bool) -> tuple[ImagePair, ...]:
        """Return the pairs of one kind: those across splits, or those within a split."""
        return tuple(p for p in self.pairs if p.kind == kind and p.across == across)


@dataclass(frozen=True)
class KeptAudit:
    """An audit in a run's folder, and its consequences for the run.

    The audit includes images that were dropped. `pictures[i]` is the path of the picture of
    `audit.pairs[i]`, relative to the folder; later pairs have none.
    """

    audit: Audit
    leaked: tuple[str, ...]  # ids of test images with a copy in train or validation
    on_leak: OnLeak
    dropped: tuple[str, ...]  # ids of images left out of train and validation for that
    seconds: float  # duration of the audit; close to 0 if it was cached
    pictures: tuple[str, ...] = ()


def load_audit(folder: Path) -> KeptAudit | None:
    """Read the audit in a run's folder; None if the run has none."""

    def check(found: KeptAudit) -> None:
        # Reports link to and embed these files: no other path or address is allowed.
        if elsewhere := [p for p in found.pictures if not re.fullmatch(r"audit/\d+\.jpg", p)]:
            raise ValueError(f"pictures: {elsewhere[0]!r} is not audit/NUMBER.jpg")

    return read_json(folder / FILE, KeptAudit, f"Nothing else is lost: {REWRITE_REMEDY}", check)


def leaked_test_ids(audit: Audit) -> tuple[str, ...]:
    """Return the ids of test images with a copy, or an image of their group, in train or
    validation."""
    return _ids_with_copies(audit, "test", "train", "validation")


def train_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Return the ids of training images to drop, so that no image of a later split has a copy."""
    return _ids_with_copies(audit, "train", "validation", "test")


def validation_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Return the ids of validation images to drop, so that no test image has a copy."""
    return _ids_with_copies(audit, "validation", "test")


def group_numbers(
    ids: Sequence[str], audit: Audit | None, named: Mapping[str, str]
) -> tuple[int, ...]:
    """Return a group number for each training image of `ids`.

    Copies of each other have the same number (if there is an audit), as have images of the same
    user's group: `named` maps image ids to these groups.
    """
    copies = () if audit is None else find_clusters(_connected_images(audit))
    sets = [[image.id for image in images if image.split == "train"] for images in copies]
    groups: dict[str, list[str]] = defaultdict(list)
    for id in ids:
        groups[named.get(id, id)].append(id)
    found = find_clusters(filter(None, (*groups.values(), *sets)))
    number = {id: n for n, cluster in enumerate(found) for id in cluster}
    return tuple(number[id] for id in ids)


def find_clusters(sets: Iterable[Sequence[T]]) -> list[list[T]]:
    """Return the connected components of the sets, in order of first appearance (union-find)."""
    parent: dict[T, T] = {}

    def root(image: T) -> T:
        while parent[image] != image:
            # Path halving: without it, long chains such as video frames take quadratic time.
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for images in sets:
        for image in images:
            parent.setdefault(image, image)
            parent[root(image)] = root(images[0])
    found: dict[T, list[T]] = {}
    for image in parent:
        found.setdefault(root(image), []).append(image)
    return list(found.values())


def _connected_images(audit: Audit) -> Iterator[Sequence[LocatedImage]]:
    """Yield the sets of images that belong together: pairs and broken groups."""
    yield from ((pair.first, pair.second) for pair in audit.pairs)
    yield from (group.images for group in audit.broken_groups)


def _ids_with_copies(audit: Audit, split: SplitName, *others: SplitName) -> tuple[str, ...]:
    """Return the ids of the images of `split` whose cluster has an image of one of `others`."""
    return tuple(
        sorted(
            image.id
            for cluster in find_clusters(_connected_images(audit))
            if any(image.split in others for image in cluster)
            for image in cluster
            if image.split == split
        )
    )


NO_LEAK = "no test image leaked into train or validation"
UNEVEN = 1.5  # ratio of the largest class to the smallest from which it is reported


def leak_text(audit: Audit) -> str:
    """Return how many test images leaked, with an example, as text; "" if none did."""
    leaked = leaked_test_ids(audit)
    if not leaked:
        return ""
    share = len(leaked) / audit.images["test"]
    have = "has" if len(leaked) == 1 else "have"
    group = ", or one of their group," if audit.broken_groups else ""
    return (
        f"{len(leaked):,} of {audit.images['test']:,} test images ({share:.1%}) {have} a "
        f"copy{group} in train or validation, such as {_example(audit, set(leaked))}"
    )


def outcome_text(kept: KeptAudit) -> str:
    """Return how many test images leaked and what was done about it, as text; "" if none did."""
    found = leak_text(kept.audit)
    if not found:
        return ""
    if kept.on_leak == "drop":
        return f"{found}; left out of train and validation: {len(kept.dropped):,}"
    train, validation = train_ids_to_drop(kept.audit), validation_ids_to_drop(kept.audit)
    return (
        f"{found}; --on-leak drop leaves out {len(train):,} training and {len(validation):,} "
        f"validation images"
    )


def other_findings(audit: Audit) -> Iterator[str]:
    """Yield a short text on each finding other than leaks."""
    within = [pair for pair in audit.pairs if not pair.across]
    between = [p for p in audit.pairs if {p.first.split, p.second.split} == {"train", "validation"}]
    for found, one, several in (
        (audit.conflicts, "picture under two labels", "pictures under two labels"),
        (audit.broken_groups, "group in several splits", "groups in several splits"),
        (between, "copy between train and validation", "copies between train and validation"),
        (within, "copy within a split", "copies within a split"),
        (audit.wrong_extensions, "wrong extension", "wrong extensions"),
        (audit.excluded, "unusable image", "unusable images"),
    ):
        if found:
            yield f"{len(found):,} {one if len(found) == 1 else several}"
    for uneven in audit.balance:
        if uneven.ratio >= UNEVEN:
            (few, small), *_, (many, large) = sorted(zip(uneven.counts, audit.classes, strict=True))
            yield (
                f"the largest class in {uneven.split}, {large} ({many:,}), is {uneven.ratio:.1f} "
                f"times the smallest, {small} ({few:,})"
            )


def _example(audit: Audit, leaked: set[str]) -> str:
    """Return a leaked test image and its copy, as text; at least one pair or group has both."""
    pairs = [(pair.first, pair.second) for pair in audit.pairs if pair.across]
    return next(
        f"{shown.id} of {seen.id}"
        for images in [*pairs, *(group.images for group in audit.broken_groups)]
        for seen in images
        for shown in images
        if seen.split != "test" and shown.split == "test" and shown.id in leaked
    )
