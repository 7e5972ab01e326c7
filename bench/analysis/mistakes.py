"""Which test images the backbones get wrong: the mistakes of each, those that all share, and the
classes on which they differ.

An image that every backbone gets wrong with high confidence usually has a wrong label. Only counts
and ranks; the images are drawn in the reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, repeat

import numpy as np

from bench.analysis.metrics.classification import Counts, Floats, Predictions

MAX_CLASSES = 30  # whose recall is compared
MAX_BACKBONES = 30
MAX_PER_BACKBONE = 24  # mistakes of one backbone that are shown
MAX_SHARED = 48  # images that all backbones get wrong that are shown
MAX_COMPARED = 4  # backbones that are compared image by image, the first of the table
MAX_ONE_RIGHT = 12  # images that only one of two gets right that are shown


@dataclass(frozen=True)
class Mistake:
    """One test image that one backbone gets wrong in most of its seeds."""

    image: int  # its place in the test split
    true: int
    predicted: int  # the class with the highest total confidence over the wrong seeds
    confidence: float  # probability given to wrong answers, the mean over seeds; 0 where right
    wrong_seeds: int
    seeds: int


@dataclass(frozen=True)
class Suspect:
    """One test image that every backbone gets wrong; its label may be wrong."""

    image: int
    true: int
    confidence: float  # the sum over the backbones
    by_backbone: Mapping[str, Mistake]

    @property
    def predicted(self) -> int:
        """Return the class with the highest total confidence over the backbones."""
        votes: dict[int, float] = defaultdict(float)
        for mistake in self.by_backbone.values():
            votes[mistake.predicted] += mistake.confidence
        return max(votes, key=lambda label: votes[label])


def mistakes(seeds: Sequence[Predictions]) -> tuple[Mistake, ...]:
    """Return what one backbone gets wrong in most of its seeds, most confident first."""
    if not seeds:
        return ()
    labels = seeds[0].labels
    predicted = np.stack([one.predicted for one in seeds])
    wrong = predicted != labels
    images = np.flatnonzero(2 * wrong.sum(axis=0) > len(seeds))
    predicted, wrong = predicted[:, images], wrong[:, images]
    confidence = np.where(wrong, [one.confidence[images] for one in seeds], 0.0)
    # Of each seed's answer, over all seeds that gave it; of equally confident ones the first class.
    total = sum(c * (predicted == p) for c, p in zip(confidence, predicted, strict=True))
    chosen = np.where(total == total.max(axis=0), predicted, np.iinfo(predicted.dtype).max).min(0)
    mean = confidence.T.copy().mean(axis=1)
    order = np.lexsort((images, -mean))
    columns = (images, labels[images], chosen, mean, wrong.sum(axis=0))
    return tuple(map(Mistake, *(one[order].tolist() for one in columns), repeat(len(seeds))))


def shared(by_backbone: Mapping[str, Sequence[Mistake]]) -> tuple[Suspect, ...]:
    """Return what all of these backbones get wrong, by falling total confidence.

    A single backbone shares no mistakes.
    """
    if len(by_backbone) < 2:
        return ()
    of_image: dict[int, dict[str, Mistake]] = defaultdict(dict)
    for name, found in by_backbone.items():
        for mistake in found:
            of_image[mistake.image][name] = mistake
    suspects = [
        Suspect(
            image=image,
            true=next(iter(found.values())).true,
            confidence=sum(mistake.confidence for mistake in found.values()),
            by_backbone=found,
        )
        for image, found in of_image.items()
        if len(found) == len(by_backbone)
    ]
    return tuple(sorted(suspects, key=lambda suspect: (-suspect.confidence, suspect.image)))


@dataclass(frozen=True)
class Disagreement:
    """The test images of which one of two backbones gets right and the other wrong."""

    first: str
    second: str
    only_first: tuple[Mistake, ...]  # right by the first alone: the mistakes of the second
    only_second: tuple[Mistake, ...]
    both_wrong: int


def disagreements(by_backbone: Mapping[str, Sequence[Mistake]]) -> tuple[Disagreement, ...]:
    """Return each pair of the first backbones, with their mistakes, most confident first."""
    labels = list(by_backbone)[:MAX_COMPARED]
    found = []
    for first, second in combinations(labels, 2):
        wrong = {name: {m.image for m in by_backbone[name]} for name in (first, second)}
        found.append(
            Disagreement(
                first,
                second,
                tuple(m for m in by_backbone[second] if m.image not in wrong[first]),
                tuple(m for m in by_backbone[first] if m.image not in wrong[second]),
                len(wrong[first] & wrong[second]),
            )
        )
    return tuple(found)


def shown(by_backbone: Mapping[str, Sequence[Mistake]]) -> tuple[int, ...]:
    """Return the test images that reports show: the worst of each backbone, of all together, and
    those that one of two gets right."""
    found = {m.image for each in by_backbone.values() for m in each[:MAX_PER_BACKBONE]}
    found |= {suspect.image for suspect in shared(by_backbone)[:MAX_SHARED]}
    for pair in disagreements(by_backbone):
        for side in (pair.only_first, pair.only_second):
            found |= {mistake.image for mistake in side[:MAX_ONE_RIGHT]}
    return tuple(sorted(found))


@dataclass(frozen=True, eq=False)
class ClassRecall:
    """Classes x backbones, the hardest class first; NaN where a class has no images."""

    classes: tuple[int, ...]
    labels: tuple[str, ...]
    recall: Floats


def class_recall(confusions: Mapping[str, Counts]) -> ClassRecall | None:
    """Return the classes on which the backbones differ most, up to `MAX_CLASSES`; nothing for a
    single backbone."""
    labels = tuple(confusions)[:MAX_BACKBONES]
    if len(labels) < 2:
        return None
    counts = np.stack([confusions[label] for label in labels], axis=2)
    images = counts.sum(axis=1)
    correct = np.einsum("iij->ij", counts)
    recall = np.divide(correct, images, out=np.full(images.shape, np.nan), where=images > 0)
    known = np.flatnonzero((images > 0).any(axis=1))
    spread = np.nanmax(recall[known], axis=1) - np.nanmin(recall[known], axis=1)
    kept = known[np.argsort(-spread, kind="stable")[:MAX_CLASSES]]
    hardest = kept[np.argsort(np.nanmean(recall[kept], axis=1), kind="stable")]
    return ClassRecall(tuple(hardest.tolist()), labels, recall[hardest])
