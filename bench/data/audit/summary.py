"""What an audit means for a benchmark, as ids and as text: which test images leaked, what to drop.

Validation images choose epochs and learning rates, so a copy of a test image does harm there, too.
Whole clusters count, not pairs: of a burst of photographs, the first and the last may differ, yet
both show the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.data.audit.result import Audit, KeptAudit, Located
from bench.types import SplitName


def leaked_test_ids(audit: Audit) -> tuple[str, ...]:
    """Return test images with a copy, or one of the same group, in train or validation."""
    return _shared(audit, "test", with_any_of=("train", "validation"))


def train_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Return training images to drop so that none is a copy of a later split's image."""
    return _shared(audit, "train", with_any_of=("validation", "test"))


def validation_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Return validation images to drop so that none is a copy of a test image."""
    return _shared(audit, "validation", with_any_of=("test",))


def clusters(sets: Iterable[Sequence[Located]]) -> list[list[Located]]:
    """Return images that are connected through the sets, in order of first appearance."""
    parent: dict[Located, Located] = {}

    def root(image: Located) -> Located:
        while parent[image] != image:
            # Path halving: long chains, such as a video's frames, would cost their square.
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for images in sets:
        for image in images:
            parent.setdefault(image, image)
            parent[root(image)] = root(images[0])
    found: dict[Located, list[Located]] = {}
    for image in parent:
        found.setdefault(root(image), []).append(image)
    return list(found.values())


def _together(audit: Audit) -> Iterator[Sequence[Located]]:
    yield from ((pair.first, pair.second) for pair in audit.pairs)
    yield from (group.images for group in audit.broken_groups)


def _shared(audit: Audit, split: SplitName, *, with_any_of: Iterable[SplitName]) -> tuple[str, ...]:
    others = set(with_any_of)
    return tuple(
        sorted(
            image.id
            for cluster in clusters(_together(audit))
            if any(image.split in others for image in cluster)
            for image in cluster
            if image.split == split
        )
    )


NO_LEAK = "no test image leaked into train or validation"
UNEVEN = 1.5  # largest class over smallest, from which it is mentioned


def leak(audit: Audit) -> str:
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


def outcome(kept: KeptAudit) -> str:
    """Say how many test images leaked and what was done; empty if none did."""
    found = leak(kept.audit)
    if not found:
        return ""
    if kept.on_leak == "drop":
        return f"{found}; left out of train and validation for it: {len(kept.dropped):,}"
    return f"{found}; --on-leak drop leaves these out of train"


def others(audit: Audit) -> Iterator[str]:
    """Describe each other finding in a few words."""
    within = [pair for pair in audit.pairs if not pair.across]
    between = [p for p in audit.pairs if {p.first.split, p.second.split} == {"train", "validation"}]
    for count, what in (
        (len(audit.conflicts), "picture[s] under two labels"),
        (len(audit.broken_groups), "group[s] in several splits"),
        (len(between), "cop[ies] between train and validation"),
        (len(within), "cop[ies] within a split"),
        (len(audit.wrong_extensions), "wrong extension[s]"),
        (len(audit.excluded), "unusable image[s]"),
    ):
        if count:
            yield f"{count:,} {_number(what, count)}"
    for uneven in audit.balance:
        if uneven.ratio >= UNEVEN:
            yield f"the largest class in {uneven.split} is {uneven.ratio:.1f} times the smallest"


def _number(what: str, count: int) -> str:
    one = what.replace("[ies]", "y").replace("[s]", "")
    return one if count == 1 else what.replace("[", "").replace("]", "")


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
