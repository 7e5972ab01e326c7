"""What an audit found: pairs of images that are the same, and what else a reader should know.

Plain data with the questions that are asked of it, and how it is kept in a run's folder:

    audit.json        a `KeptAudit`
    audit/NNN.jpg     the pairs that it shows, side by side

How it is found out is in the other files.
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
    """One image: where it stands and what it is said to show."""

    id: str
    split: SplitName
    label: int


@dataclass(frozen=True)
class Pair:
    """Two images that are one: the same file, or near copies of each other.

    Of a file that is there several times, each further one is paired with the first, and the first
    stands for all of them in near pairs.
    """

    first: Located
    second: Located
    kind: Literal["exact", "near"]
    similarity: float  # 1.0 for the same file; else how well their details agree, once aligned
    mirrored: bool = False

    @property
    def across(self) -> bool:
        """Whether the two are in different splits."""
        return self.first.split != self.second.split

    @property
    def conflicting(self) -> bool:
        """Whether the same picture is said to show two things."""
        return self.first.label != self.second.label


@dataclass(frozen=True)
class BrokenGroup:
    """Images that belong together, as the user says, and that lie in several splits."""

    name: str
    images: tuple[Located, ...]


@dataclass(frozen=True)
class Balance:
    """How many images of each class a split holds, in the order of the classes."""

    split: SplitName
    counts: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """The largest class over the smallest; a split without one of the classes is none."""
        return max(self.counts) / min(self.counts)


@dataclass(frozen=True)
class Audit:
    """Everything that was found; nothing in it depends on when or where it was found."""

    schema: int
    dataset: str
    fingerprint: str
    classes: tuple[str, ...]
    images: Mapping[SplitName, int]
    threshold: float  # the similarity from which two images count as near copies
    compared: int  # pairs whose pixels were compared, out of all that there are
    pairs: tuple[Pair, ...]  # the most harmful first: two labels, then two splits
    broken_groups: tuple[BrokenGroup, ...]
    balance: tuple[Balance, ...]
    excluded: tuple[Excluded, ...]  # could not be read or decoded
    wrong_extensions: tuple[WrongExtension, ...]
    notes: tuple[str, ...] = ()

    @property
    def conflicts(self) -> tuple[Pair, ...]:
        """The same picture under two labels: at least one of them is wrong."""
        return tuple(pair for pair in self.pairs if pair.conflicting)

    def pairs_of(self, kind: str, *, across: bool) -> tuple[Pair, ...]:
        """The pairs of one kind that lie in two splits (`across`), or in one."""
        return tuple(p for p in self.pairs if p.kind == kind and p.across == across)


@dataclass(frozen=True)
class KeptAudit:
    """An audit in a run's folder, with what followed from it. Ids are those before any was dropped.

    `pictures[i]` is the path of the picture of `audit.pairs[i]`, relative to the folder; the later
    pairs have none.
    """

    audit: Audit
    leaked: tuple[str, ...]  # test images that were seen in train or validation
    on_leak: OnLeak
    dropped: tuple[str, ...]  # images left out of train and validation for that
    seconds: float  # what it took; next to nothing where the findings were kept
    pictures: tuple[str, ...] = ()


def load(folder: Path) -> KeptAudit | None:
    """What a run's folder keeps of its audit; nothing where it was made without one."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        found = from_json(path.read_text(encoding="utf-8"), KeptAudit)
        # Reports link to these and take them in: no other file, and no address, may stand there.
        if elsewhere := [p for p in found.pictures if not re.fullmatch(r"audit/\d+\.jpg", p)]:
            raise ValueError(f"pictures: {elsewhere[0]!r} is none of audit/NUMBER.jpg")
        return found
    except (OSError, ValueError, RecursionError) as error:
        if os_error_text(error):
            raise
        raise BenchError(
            f"{path} is damaged ({error}); start the run again to remake it."
        ) from error
