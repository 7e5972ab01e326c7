"""Learning curves: test accuracy against the number of training images, from a run's records.

Only pretrained backbones have one. At each size the backbones are compared as in the verdict: on
the seeds that all of them finished, by the margin of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.classification import guesses
from bench.analysis.scores import Contender, Score, labels
from bench.analysis.statistics.intervals import Accuracy
from bench.analysis.statistics.margin import place
from bench.storage.records import TEST, Evidence, StoredRun
from bench.types import Record

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Point:
    """One backbone at one size, over its seeds."""

    fraction: float
    images: int
    seeds: int
    accuracy: float
    low: float  # 95%, over seeds and test images
    high: float


@dataclass(frozen=True)
class BestAtSize:
    """The most accurate backbone with this many images, and how the others compare with it."""

    images: int
    label: str
    accuracy: float
    within: tuple[str, ...]  # shown to be within the margin of it
    undecided: tuple[str, ...]
    seeds: tuple[int, ...]  # that all of them finished


@dataclass(frozen=True)
class LearningCurves:
    """`points` by label, the fewest images first; `best` for each size with two or more."""

    points: Mapping[str, tuple[Point, ...]]
    best: tuple[BestAtSize, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return every number of training images, the fewest first."""
        return tuple(sorted({p.images for points in self.points.values() for p in points}))


def learning_curves(
    run: StoredRun, scores: Iterable[Score], margin: float
) -> LearningCurves | None:
    """Return the curves of a run that trained on more than one share of its images; `scores` are
    of the largest share."""
    if not run.smaller:
        return None
    records = (*run.records, *run.smaller)
    right = {s.record.trial.key: s.guesses.right for s in scores if isinstance(s, Contender)}
    right |= _right(run, run.smaller)
    names = labels(records)
    groups: dict[str, dict[float, list[Record]]] = {}
    for record in records:
        if record.trial.key in right:
            of_label = groups.setdefault(names[record.trial.key], {})
            of_label.setdefault(record.trial.fraction, []).append(record)
    fractions = sorted({record.trial.fraction for record in records})
    common = {fraction: _common_seeds(groups, fraction) for fraction in fractions}
    for at in groups.values():
        for fraction, trained in at.items():
            if common[fraction]:
                at[fraction] = [r for r in trained if r.trial.seed in common[fraction]]
    points = {
        label: tuple(_point(run, shares[fraction], right) for fraction in sorted(shares))
        for label, shares in sorted(groups.items())
    }
    found = (_best(run, fraction, groups, right, margin) for fraction in fractions)
    return LearningCurves(points, tuple(best for best in found if best is not None))


def _right(run: StoredRun, records: tuple[Record, ...]) -> dict[str, Right]:
    """Return which test images were right, by trial; only finished pretrained trials."""
    found = {}
    for record in records:
        if record.status == "ok" and record.pretrained:
            guessed = guesses(Evidence(record, run.dataset.classes, run.folder, TEST))
            if guessed is not None:
                found[record.trial.key] = guessed.right
    return found


def _point(run: StoredRun, records: list[Record], right: Mapping[str, Right]) -> Point:
    found = Accuracy.of(np.stack([right[record.trial.key] for record in records]))
    # Older records do not count their images; they trained on all of them.
    images = records[0].train_images or len(run.dataset.splits["train"])
    fraction, seeds = records[0].trial.fraction, len(records)
    return Point(fraction, images, seeds, found.value, found.low, found.high)


def _common_seeds(
    groups: Mapping[str, Mapping[float, list[Record]]], fraction: float
) -> tuple[int, ...]:
    """Return the seeds that every backbone with this share finished."""
    seeds = [{r.trial.seed for r in s[fraction]} for s in groups.values() if fraction in s]
    return tuple(sorted(set.intersection(*seeds))) if seeds else ()


def _best(
    run: StoredRun,
    fraction: float,
    groups: Mapping[str, Mapping[float, list[Record]]],
    right: Mapping[str, Right],
    margin: float,
) -> BestAtSize | None:
    here = {label: shares[fraction] for label, shares in groups.items() if fraction in shares}
    common = _common_seeds(groups, fraction)
    if len(here) < 2 or not common:
        return None
    names = list(here)
    answers = np.stack(
        [
            [right[r.trial.key] for r in sorted(here[name], key=lambda r: r.trial.seed)]
            for name in names
        ]
    )
    means = answers.mean(axis=(1, 2))
    placed = place(answers, margin)
    first = next(i for i, one in enumerate(placed) if one.place == "best")
    order = np.argsort(-means, kind="stable")
    return BestAtSize(
        images=_point(run, here[names[first]], right).images,
        label=names[first],
        accuracy=float(means[first]),
        within=tuple(names[i] for i in order if placed[i].place == "within"),
        undecided=tuple(names[i] for i in order if placed[i].place == "undecided"),
        seeds=common,
    )
