"""Named splits of labelled images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


@dataclass(frozen=True)
class Excluded:
    """An image that was excluded, and the reason."""

    id: str
    reason: str


@dataclass(frozen=True)
class WrongExtension:
    """An image file whose extension does not match the format of its content."""

    id: str
    format: str  # of the content


@dataclass(frozen=True)
class Split:
    """Labelled images; `digests` are the SHA-256 of the image files, in the same order."""

    ids: tuple[str, ...]
    labels: tuple[int, ...]
    digests: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Dataset:
    """Named splits of labelled images, and the class names. The pixels are on disk."""

    name: str
    description: str  # the origin of the images and how they were split
    classes: tuple[str, ...]
    splits: Mapping[SplitName, Split]
    fingerprint: str  # SHA-256 over classes, labels and the content of every image
    excluded: tuple[Excluded, ...] = ()
    notes: tuple[str, ...] = ()
    wrong_extensions: tuple[WrongExtension, ...] = ()

    @property
    def title(self) -> str:
        """Return the description, with the name in front unless it begins with that."""
        named = self.description.startswith(self.name)
        return self.description if named else f"{self.name}: {self.description}"
