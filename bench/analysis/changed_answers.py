"""The test images that two runs call differently, backbone by backbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.analysis.metrics.classification import Counts
from bench.analysis.run_differences import InCommon
from bench.types import Split


@dataclass(frozen=True)
class ChangedAnswer:
    """A test image that the two runs call differently."""

    id: str
    place: int  # in the test split of the second run
    earlier: int  # its place in that of the first
    true: int
    before: int
    after: int


@dataclass(frozen=True)
class ChangedAnswers:
    """The images that one backbone calls differently; what is wrong now comes first."""

    label: str
    images: tuple[ChangedAnswer, ...]

    @property
    def right(self) -> int:
        return sum(image.after == image.true for image in self.images)

    @property
    def wrong(self) -> int:
        return sum(image.before == image.true for image in self.images)

    @property
    def other(self) -> int:
        return len(self.images) - self.right - self.wrong


def changed_answers(
    label: str, old: Counts, new: Counts, common: InCommon, split: Split
) -> ChangedAnswers:
    """Compare the classes that a backbone gave the shared images; `split` is the second run's."""
    found = []
    for at in np.flatnonzero(old != new):
        place, earlier = common.after[at], common.before[at]
        true, before, after = split.labels[place], int(old[at]), int(new[at])
        found.append(ChangedAnswer(split.ids[place], place, earlier, true, before, after))
    found.sort(key=lambda image: image.before != image.true)
    return ChangedAnswers(label, tuple(found))
