"""Learning curves: test accuracy against the number of training images, from a run's records.

Only pretrained backbones have one. At each size the backbones are compared as they are in the
verdict: on the seeds that all of them finished, with the test corrected for all pairs of that size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.metrics.classification import guesses
from bench.records import Evidence, Run
from bench.report.labels import labels
from bench.statistics import intervals
from bench.statistics.pairwise import compare_all
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
class Best:
    """Which backbone to take with this many images, and which cannot be told apart from it."""

    images: int
    label: str
    accuracy: float
    tied: tuple[str, ...]
    seeds: tuple[int, ...]  # that all of them finished


@dataclass(frozen=True)
class Curves:
    """`points` by label, the fewest images first; `best` for each size with two or more."""

    points: Mapping[str, tuple[Point, ...]]
    best: tuple[Best, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Every number of training images, the fewest first."""
        return tuple(sorted({p.images for points in self.points.values() for p in points}))


def curves(run: Run) -> Curves | None:
    """The curves of a run that trained on more than one share of its images."""
    records = (*run.records, *run.smaller)
    if not run.smaller:
        return None
    right = _right(run, records)
    names = labels(records)
    groups: dict[str, dict[float, list[Record]]] = {}
    for record in records:
        if record.trial.key in right:
            of_label = groups.setdefault(names[record.trial.key], {})
            of_label.setdefault(record.trial.fraction, []).append(record)
    points = {
        label: tuple(_point(run, shares[fraction], right) for fraction in sorted(shares))
        for label, shares in sorted(groups.items())
    }
    fractions = sorted({record.trial.fraction for record in records})
    found = (_best(run, fraction, groups, right) for fraction in fractions)
    return Curves(points, tuple(best for best in found if best is not None))


def frame(found: Curves) -> pd.DataFrame:
    """`learning_curve.csv`: one row a point."""
    rows = [
        (label, p.fraction, p.images, p.seeds, p.accuracy, p.low, p.high)
        for label, points in found.points.items()
        for p in points
    ]
    titles = ["label", "fraction", "train_images", "seeds", "accuracy"]
    return pd.DataFrame(rows, columns=[*titles, "accuracy_low", "accuracy_high"])


def _right(run: Run, records: tuple[Record, ...]) -> dict[str, Right]:
    """By trial, which test images were right; only pretrained trials that finished."""
    found = {}
    for record in records:
        if record.status == "ok" and record.weights is not None and record.weights.pretrained:
            guessed = guesses(Evidence(record, run.dataset.classes, run.folder))
            if guessed is not None:
                found[record.trial.key] = guessed.right
    return found


def _point(run: Run, records: list[Record], right: Mapping[str, Right]) -> Point:
    answers = np.stack([right[record.trial.key] for record in records])
    low, high = intervals.accuracy(answers)
    return Point(
        fraction=records[0].trial.fraction,
        # Records made before they counted their images trained on all of them.
        images=records[0].train_images or len(run.dataset.splits["train"]),
        seeds=len(records),
        accuracy=float(answers.mean()),
        low=float(low),
        high=float(high),
    )


def _best(
    run: Run,
    fraction: float,
    groups: Mapping[str, Mapping[float, list[Record]]],
    right: Mapping[str, Right],
) -> Best | None:
    here = {label: shares[fraction] for label, shares in groups.items() if fraction in shares}
    by_seed = {label: {r.trial.seed: r for r in records} for label, records in here.items()}
    if len(by_seed) < 2:
        return None
    common = sorted(set.intersection(*(set(seeds) for seeds in by_seed.values())))
    if not common:
        return None
    names = list(by_seed)
    answers = np.stack(
        [[right[by_seed[name][seed].trial.key] for seed in common] for name in names]
    )
    means = answers.mean(axis=(1, 2))
    first = int(means.argmax())
    told_apart = {
        pair.second if pair.first == first else pair.first
        for pair in compare_all(answers)
        if pair.differ and first in (pair.first, pair.second)
    }
    tied = [i for i in np.argsort(-means, kind="stable") if i != first and i not in told_apart]
    images = _point(run, here[names[first]], right).images
    return Best(
        images, names[first], float(means[first]), tuple(names[i] for i in tied), tuple(common)
    )
