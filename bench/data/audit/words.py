"""An audit in words: a line or two, for whoever wants to go on."""

from __future__ import annotations

from collections.abc import Iterator

from bench.data.audit.findings import Audit, KeptAudit
from bench.data.audit.leaks import leaked_test_ids

NO_LEAK = "no test image was seen in train or validation"
UNEVEN = 1.5  # largest class over smallest: from here on it is worth a word


def leak(audit: Audit) -> str:
    """How many test images were seen before, with an example; empty where none was."""
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
    """The leak and what was done about it; empty where there is none."""
    found = leak(kept.audit)
    if not found:
        return ""
    if kept.on_leak == "drop":
        return f"{found}; left out of train and validation for it: {len(kept.dropped):,}"
    return f"{found}; --on-leak drop leaves these out of train"


def others(audit: Audit) -> Iterator[str]:
    """What else was found, each in a few words."""
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
    """What leaked hangs together through pairs or groups: one of these reaches out of test."""
    pairs = [(pair.first, pair.second) for pair in audit.pairs if pair.across]
    return next(
        f"{shown.id} of {seen.id}"
        for images in [*pairs, *(group.images for group in audit.broken_groups)]
        for seen in images
        for shown in images
        if seen.split != "test" and shown.split == "test" and shown.id in leaked
    )
