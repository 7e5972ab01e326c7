"""The result of an audit: pairs of images that are the same, and other findings.

Plain data, and how a run's folder stores it:

    audit.json        a `KeptAudit`
    audit/NNN.jpg     pictures of the pairs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import BenchError, os_error_text
from bench.system.files import from_json
from bench.types import Excluded, OnLeak, SplitName, WrongExtension

SCHEMA = 1  # raise it when a field changes its meaning
FILE = "audit.json"


@dataclass(frozen=True)
class Located:
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

    first: Located
    second: Located
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
    images: tuple[Located, ...]


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


def load(folder: Path) -> KeptAudit | None:
    """Read the audit in a run's folder; None if the run was made without one."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        found = from_json(path.read_text(encoding="utf-8"), KeptAudit)
        # Reports link to and embed these files: no other path or address is allowed.
        if elsewhere := [p for p in found.pictures if not re.fullmatch(r"audit/\d+\.jpg", p)]:
            raise ValueError(f"pictures: {elsewhere[0]!r} is none of audit/NUMBER.jpg")
        return found
    except (OSError, ValueError, RecursionError) as error:
        if os_error_text(error):
            raise
        raise BenchError(
            f"{path} is damaged ({error}); start the run again to remake it."
        ) from error
