"""The result of an audit: pairs of images that are the same, other findings, and what they mean for
a benchmark: which test images leaked, what to drop.

Validation images choose epochs and learning rates, so a copy of a test image does harm there, too.
Whole clusters count, not pairs: of a burst of photographs, the first and the last may differ, yet
both show the same moment. How a run's folder stores it:

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

    If a file exists several times, each further one is paired with the first, which represents them
    all in near pairs.
    """

    first: LocatedImage
    second: LocatedImage
    kind: Literal["exact", "near"]
    similarity: float  # 1.0 for the same file; else how well their details agree, once aligned
    mirrored: bool = False

    @property
    def across(self) -> bool:
        """Return whether the two are in different splits."""
        return self.first.split != self.second.split

    @property
    def conflicting(self) -> bool:
        """Return whether the two have different labels."""
        return self.first.label != self.second.label


@dataclass(frozen=True)
class BrokenGroup:
    """Images that belong together, as the user says, but are in several splits."""

    name: str
    images: tuple[LocatedImage, ...]


@dataclass(frozen=True)
class Balance:
    """How many images of each class a split holds, in the order of the classes."""

    split: SplitName
    counts: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """Return the largest class over the smallest; every class has images."""
        return max(self.counts) / min(self.counts)


@dataclass(frozen=True)
class Audit:
    """All findings; none depends on when or where the audit was made."""

    schema: int
    dataset: str
    fingerprint: str
    classes: tuple[str, ...]
    images: Mapping[SplitName, int]
    threshold: float  # the similarity from which two images count as near copies
    compared: int  # pairs whose pixels were compared
    pairs: tuple[ImagePair, ...]  # the most harmful first: two labels, then two splits
    broken_groups: tuple[BrokenGroup, ...]
    balance: tuple[Balance, ...]
    excluded: tuple[Excluded, ...]  # could not be read or decoded
    wrong_extensions: tuple[WrongExtension, ...]
    notes: tuple[str, ...] = ()

    @property
    def conflicts(self) -> tuple[ImagePair, ...]:
        """Return pairs with two labels, at least one of which is wrong."""
        return tuple(pair for pair in self.pairs if pair.conflicting)

    def pairs_of(self, kind: str, *, across: bool) -> tuple[ImagePair, ...]:
        """Return the pairs of one kind that are in two splits (`across`), or in one."""
        return tuple(p for p in self.pairs if p.kind == kind and p.across == across)


@dataclass(frozen=True)
class KeptAudit:
    """An audit in a run's folder, and its consequences. Ids are those before any was dropped.

    `pictures[i]` is the path of the picture of `audit.pairs[i]`, relative to the folder; later
    pairs have none.
    """

    audit: Audit
    leaked: tuple[str, ...]  # test images that were seen in train or validation
    on_leak: OnLeak
    dropped: tuple[str, ...]  # images left out of train and validation for that
    seconds: float  # how long it took; close to 0 if it was cached
    pictures: tuple[str, ...] = ()


def load_audit(folder: Path) -> KeptAudit | None:
    """Read the audit in a run's folder; None if the run was made without one."""

    def check(found: KeptAudit) -> None:
        # Reports link to and embed these files: no other path or address is allowed.
        if elsewhere := [p for p in found.pictures if not re.fullmatch(r"audit/\d+\.jpg", p)]:
            raise ValueError(f"pictures: {elsewhere[0]!r} is none of audit/NUMBER.jpg")

    return read_json(folder / FILE, KeptAudit, f"Nothing else is lost: {REWRITE_REMEDY}", check)


def leaked_test_ids(audit: Audit) -> tuple[str, ...]:
    """Return test images with a copy, or one of the same group, in train or validation."""
    return _in_clusters_with(audit, "test", with_any_of=("train", "validation"))


def train_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Return training images to drop so that none is a copy of a later split's image."""
    return _in_clusters_with(audit, "train", with_any_of=("validation", "test"))


def validation_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Return validation images to drop so that none is a copy of a test image."""
    return _in_clusters_with(audit, "validation", with_any_of=("test",))


def group_numbers(
    ids: Sequence[str], audit: Audit | None, named: Mapping[str, str]
) -> tuple[int, ...]:
    """Return a number for each training image: the same for copies of each other, as far as they
    were looked for, and for images that the user `named` as one group."""
    copies = () if audit is None else find_clusters(_connected_images(audit))
    sets = [[image.id for image in images if image.split == "train"] for images in copies]
    groups: dict[str, list[str]] = defaultdict(list)
    for id in ids:
        groups[named.get(id, id)].append(id)
    found = find_clusters(filter(None, (*groups.values(), *sets)))
    number = {id: n for n, together in enumerate(found) for id in together}
    return tuple(number[id] for id in ids)


def find_clusters(sets: Iterable[Sequence[T]]) -> list[list[T]]:
    """Return images that are connected through the sets, in order of first appearance."""
    parent: dict[T, T] = {}

    def root(image: T) -> T:
        while parent[image] != image:
            # Path halving: long chains, such as a video's frames, would cost their square.
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
    yield from ((pair.first, pair.second) for pair in audit.pairs)
    yield from (group.images for group in audit.broken_groups)


def _in_clusters_with(
    audit: Audit, split: SplitName, *, with_any_of: Iterable[SplitName]
) -> tuple[str, ...]:
    others = set(with_any_of)
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
UNEVEN = 1.5  # largest class over smallest, from which it is mentioned


def leak_text(audit: Audit) -> str:
    """Say how many test images leaked, with an example; empty if none did."""
    leaked = leaked_test_ids(audit)
    if not leaked:
        return ""
    share = len(leaked) / audit.images["test"]
    group = ", or one of their group," if audit.broken_groups else ""
    return (
        f"{len(leaked):,} of {audit.images['test']:,} test images ({share:.1%}) have a copy{group} "
        f"in train or validation, as {_example(audit, set(leaked))}"
    )


def outcome_text(kept: KeptAudit) -> str:
    """Say how many test images leaked and what was done; empty if none did."""
    found = leak_text(kept.audit)
    if not found:
        return ""
    if kept.on_leak == "drop":
        return f"{found}; left out of train and validation for it: {len(kept.dropped):,}"
    train, validation = train_ids_to_drop(kept.audit), validation_ids_to_drop(kept.audit)
    return (
        f"{found}; --on-leak drop leaves {len(train):,} out of train and {len(validation):,} out "
        f"of validation"
    )


def other_findings(audit: Audit) -> Iterator[str]:
    """Describe each other finding in a few words."""
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
    """Return an example pair: of the connected images, at least one pair or group leaves test."""
    pairs = [(pair.first, pair.second) for pair in audit.pairs if pair.across]
    return next(
        f"{shown.id} of {seen.id}"
        for images in [*pairs, *(group.images for group in audit.broken_groups)]
        for seen in images
        for shown in images
        if seen.split != "test" and shown.split == "test" and shown.id in leaked
    )
