"""The test images that the backbones get wrong: the mistakes of each, those that all share, and the
classes on which they differ.

An image that every backbone gets wrong with high confidence usually has a wrong label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, repeat

import numpy as np

from bench.analysis.metrics.classification import Counts, Floats, Predictions

MAX_CLASSES = 30  # whose recall is compared
MAX_BACKBONES = 30  # whose recall is compared
MAX_PER_BACKBONE = 24  # mistakes shown for one backbone
MAX_SHARED = 48  # mistakes shown that all backbones share
MAX_COMPARED = 4  # backbones compared image by image, the first of the table
MAX_ONE_CORRECT = 12  # images shown that only one of two backbones predicts correctly


@dataclass(frozen=True)
class Mistake:
    """One test image that one backbone gets wrong in most of its seeds."""

    image: int  # index in the test split
    true: int
    predicted: int  # the wrong class with the highest total confidence over the seeds
    confidence: float  # of wrong predictions, mean over all seeds; a correct seed counts as 0
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


def find_mistakes(seeds: Sequence[Predictions]) -> tuple[Mistake, ...]:
    """Return the images that one backbone gets wrong in most seeds, the most confident first."""
    if not seeds:
        return ()
    labels = seeds[0].labels
    predicted = np.stack([one.predicted for one in seeds])
    wrong = predicted != labels
    images = np.flatnonzero(2 * wrong.sum(axis=0) > len(seeds))
    predicted, wrong = predicted[:, images], wrong[:, images]
    confidence = np.where(wrong, [one.confidence[images] for one in seeds], 0.0)
    # Total confidence of each seed's class over all seeds that predict it; the first class on ties.
    total = sum(c * (predicted == p) for c, p in zip(confidence, predicted, strict=True))
    chosen = np.where(total == total.max(axis=0), predicted, np.iinfo(predicted.dtype).max).min(0)
    mean = confidence.T.copy().mean(axis=1)
    order = np.lexsort((images, -mean))
    columns = (images, labels[images], chosen, mean, wrong.sum(axis=0))
    return tuple(map(Mistake, *(one[order].tolist() for one in columns), repeat(len(seeds))))


def shared_mistakes(by_backbone: Mapping[str, Sequence[Mistake]]) -> tuple[Suspect, ...]:
    """Return the images that all of these backbones get wrong, by falling total confidence.

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
    """The test images that only one of two backbones predicts correctly."""

    first: str
    second: str
    only_first: tuple[Mistake, ...]  # mistakes of `second` that `first` predicts correctly
    only_second: tuple[Mistake, ...]  # mistakes of `first` that `second` predicts correctly
    both_wrong: int


def disagreements(by_backbone: Mapping[str, Sequence[Mistake]]) -> tuple[Disagreement, ...]:
    """Return the disagreements of every two of the first `MAX_COMPARED` backbones."""
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


def shown_images(by_backbone: Mapping[str, Sequence[Mistake]]) -> tuple[int, ...]:
    """Return the indices of the test images that reports show.

    The worst mistakes of each backbone, the worst shared ones, and disagreements.
    """
    found = {m.image for each in by_backbone.values() for m in each[:MAX_PER_BACKBONE]}
    found |= {suspect.image for suspect in shared_mistakes(by_backbone)[:MAX_SHARED]}
    for pair in disagreements(by_backbone):
        for side in (pair.only_first, pair.only_second):
            found |= {mistake.image for mistake in side[:MAX_ONE_CORRECT]}
    return tuple(sorted(found))


@dataclass(frozen=True, eq=False)
class ClassRecall:
    """The recall of each class by backbone."""

    classes: tuple[int, ...]  # the hardest first
    labels: tuple[str, ...]
    recall: Floats  # classes x backbones; NaN: no images


def class_recall(confusions: Mapping[str, Counts]) -> ClassRecall | None:
    """Return the recall of the `MAX_CLASSES` classes on which the backbones differ most.

    `None` for a single backbone.
    """
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
