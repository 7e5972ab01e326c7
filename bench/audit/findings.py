"""What an audit found: pairs of images that are the same, and what else a reader should know.

Plain data with the questions that are asked of it. How it is found out is in the other files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.types import Excluded, SplitName

SCHEMA = 1  # raise it when a field changes its meaning


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
class Balance:
    """How many images of each class a split holds, in the order of the classes."""

    split: SplitName
    counts: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """The largest class over the smallest."""
        return max(self.counts) / min(self.counts)


@dataclass(frozen=True)
class WrongExtension:
    """A file whose name says one format and whose content is another."""

    id: str
    format: str  # of the content


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
    pairs: tuple[Pair, ...]  # the surest first
    balance: tuple[Balance, ...]
    excluded: tuple[Excluded, ...]  # could not be read or decoded
    wrong_extensions: tuple[WrongExtension, ...] | None  # None: the files were not looked at
    notes: tuple[str, ...] = ()

    @property
    def exact_within(self) -> tuple[Pair, ...]:
        return self._pairs("exact", across=False)

    @property
    def exact_across(self) -> tuple[Pair, ...]:
        return self._pairs("exact", across=True)

    @property
    def near_within(self) -> tuple[Pair, ...]:
        return self._pairs("near", across=False)

    @property
    def near_across(self) -> tuple[Pair, ...]:
        return self._pairs("near", across=True)

    @property
    def conflicts(self) -> tuple[Pair, ...]:
        """The same picture under two labels: at least one of them is wrong."""
        return tuple(pair for pair in self.pairs if pair.conflicting)

    def _pairs(self, kind: str, *, across: bool) -> tuple[Pair, ...]:
        return tuple(p for p in self.pairs if p.kind == kind and p.across == across)
