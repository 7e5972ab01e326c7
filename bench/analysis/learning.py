"""Learning curves: test accuracy against the number of training images.

Only pretrained backbones have one. At each number of images the backbones are compared as in the
verdict: on the seeds that all of them finished, by the margin of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.analysis.metrics.classification import predictions
from bench.analysis.scores import Score, contenders, trial_labels
from bench.analysis.statistics.intervals import Accuracy, Correct
from bench.analysis.statistics.margin import place
from bench.storage.records import TEST_ARRAYS, StoredRun
from bench.types import Record


@dataclass(frozen=True)
class Point:
    """One backbone at one number of training images, over its seeds."""

    fraction: float  # of the training set
    images: int
    seeds: int
    accuracy: float
    low: float  # ends of the 95% interval over seeds and test images
    high: float


@dataclass(frozen=True)
class BestAtSize:
    """The most accurate backbone at one number of training images, and those close to it."""

    images: int
    label: str
    accuracy: float
    within: tuple[str, ...]  # shown to be within the margin of the best
    undecided: tuple[str, ...]
    seeds: tuple[int, ...]  # that all of them finished


@dataclass(frozen=True)
class LearningCurves:
    """The learning curves of a run."""

    points: Mapping[str, tuple[Point, ...]]  # by label, the fewest images first
    best: tuple[BestAtSize, ...]  # for each number of images with two or more backbones

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return every number of training images, the fewest first."""
        return tuple(sorted({p.images for points in self.points.values() for p in points}))


def learning_curves(
    run: StoredRun, scores: Iterable[Score], margin: float
) -> LearningCurves | None:
    """Return the learning curves; `None` if the run trained on one fraction of its images only.

    `scores` are those of the trials on the largest fraction.
    """
    if not run.subset_records:
        return None
    by_trial = {one.record.trial.key: one.predictions.correct for one in contenders(scores)}
    by_trial |= _correct_by_trial(run, run.subset_records)
    records = (*run.records, *run.subset_records)
    names = trial_labels(records)
    groups: dict[str, dict[float, list[Record]]] = {}
    for record in records:
        if record.trial.key in by_trial:
            by_fraction = groups.setdefault(names[record.trial.key], {})
            by_fraction.setdefault(record.trial.fraction, []).append(record)
    points: dict[str, list[Point]] = {label: [] for label in sorted(groups)}
    best = []
    for fraction in sorted({fraction for group in groups.values() for fraction in group}):
        trained = {label: group[fraction] for label, group in groups.items() if fraction in group}
        seeds = set.intersection(*({r.trial.seed for r in each} for each in trained.values()))
        if seeds:
            trained = {
                label: [record for record in each if record.trial.seed in seeds]
                for label, each in trained.items()
            }
        correct = {
            label: np.stack([by_trial[record.trial.key] for record in each])
            for label, each in trained.items()
        }
        here = {label: _point(run, each, correct[label]) for label, each in trained.items()}
        for label, point in here.items():
            points[label].append(point)
        if seeds and len(here) > 1:
            best.append(_best(here, correct, margin, tuple(sorted(seeds))))
    return LearningCurves({label: tuple(of) for label, of in points.items()}, tuple(best))


def _correct_by_trial(run: StoredRun, records: tuple[Record, ...]) -> dict[str, Correct]:
    """Return which test images each finished pretrained trial predicts correctly, by key."""
    found = {}
    for record in records:
        if record.status == "ok" and record.pretrained:
            predicted = predictions(run.evidence_of(record, TEST_ARRAYS))
            if predicted is not None:
                found[record.trial.key] = predicted.correct
    return found


def _point(run: StoredRun, records: list[Record], correct: Correct) -> Point:
    found = Accuracy.from_correct(correct)
    # Older records have no number of images; they trained on all of them.
    images = records[0].train_images or len(run.dataset.splits["train"])
    fraction = records[0].trial.fraction
    return Point(fraction, images, len(records), found.value, found.low, found.high)


def _best(
    points: Mapping[str, Point],
    correct: Mapping[str, Correct],
    margin: float,
    seeds: tuple[int, ...],
) -> BestAtSize:
    """Compare the backbones at one number of training images; `correct` is (seeds, images)."""
    names = list(points)
    stacked = np.stack([correct[name] for name in names])
    placed = place(stacked, margin)
    first = next(i for i, one in enumerate(placed) if one.place == "best")
    order = np.argsort(-stacked.mean(axis=(1, 2)), kind="stable")
    return BestAtSize(
        images=points[names[first]].images,
        label=names[first],
        accuracy=points[names[first]].accuracy,
        within=tuple(names[i] for i in order if placed[i].place == "within"),
        undecided=tuple(names[i] for i in order if placed[i].place == "undecided"),
        seeds=seeds,
    )
