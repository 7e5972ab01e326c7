"""A comparison of two runs: what changed, with which interval, and what cannot be compared.

Accuracies are compared on the test images that both models answered; times if the machine and the
work were the same; sizes always. What cannot be compared is listed with the field that differs.
From records alone, of any machine and date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.facts import skipped
from bench.analysis.findings import Findings
from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.classification import Counts, Floats, labels_and_probabilities
from bench.analysis.metrics.latency import durations
from bench.analysis.run_differences import (
    ChangedAnswers,
    Circumstance,
    InCommon,
    changed_answers,
    circumstances,
    in_common,
    machine_difference,
)
from bench.analysis.statistics.intervals import (
    difference_interval,
    paired_difference,
    student_interval,
)
from bench.analysis.statistics.timing import ProcessTimings, median_change_interval
from bench.storage.records import TEST_ARRAYS
from bench.training.losses import log_losses, of_true
from bench.types import RANDOM_INIT, Record, at_size

SHOWN = (
    "accuracy",
    "loss",
    "latency_p50_ms",
    "throughput_images_per_second",
    "train_seconds",
    "size_mb",
)
PAIRED = ("accuracy", "loss")


@dataclass(frozen=True)
class ChangedFigure:
    """One figure of one backbone, before and after; without an interval if none is available."""

    label: str
    figure: str
    before: float
    after: float
    low: float | None = None  # of the difference, 95%
    high: float | None = None

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def beyond_chance(self) -> bool:
        """Return whether the change has an interval that excludes no change."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class NotComparable:
    """What was not compared, and the field that prevents it."""

    label: str
    figures: tuple[str, ...]  # none: all of them
    reason: str

    def covers(self, label: str, figure: str) -> bool:
        return label == self.label and (not self.figures or figure in self.figures)


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two runs."""

    before: str
    after: str
    differing: tuple[Circumstance, ...]  # what else differs, and may be the cause
    images: int  # test images that both answered
    changes: tuple[ChangedFigure, ...]
    refused: tuple[NotComparable, ...]
    lost: tuple[str, ...]  # finished before, and not after
    classes: tuple[str, ...] = ()
    answers: tuple[ChangedAnswers, ...] = ()  # of what is compared in accuracy


def compare(before: Findings, after: Findings, figures: Sequence[str] = SHOWN) -> Comparison:
    """Compare the runs label by label: each figure of each is a change, or not comparable."""
    common = in_common(before.run.dataset, after.run.dataset)
    machine = machine_difference(before, after)
    changes: list[ChangedFigure] = []
    answers: list[ChangedAnswers] = []
    refused: list[NotComparable] = []
    rows = {row["label"]: row for _, row in after.backbones.iterrows()}
    lost = []
    for _, row in before.backbones.iterrows():
        label = row["label"]
        other = rows.pop(label if label in rows else _renamed(row, rows), None)
        if row["status"] != "ok":
            why = f"failed in {before.run.name}: {row['reason']}"
            refused.append(NotComparable(label, (), why))
            continue
        if other is None or other["status"] != "ok":
            lost.append(label)
            refused.append(NotComparable(label, (), _why_lost(after, row, other)))
            continue
        pair = _Pair(label, _side(before, row), _side(after, other), common, machine)
        reasons: dict[str, list[str]] = {}
        for figure in figures:
            found = pair.compare(figure)
            if isinstance(found, ChangedFigure):
                changes.append(found)
            else:
                reasons.setdefault(found, []).append(figure)
        if "accuracy" in {change.figure for change in changes if change.label == label}:
            answers.append(pair.changed_answers())
        refused += [NotComparable(label, tuple(of), reason) for reason, of in reasons.items()]
    for label, row in rows.items():
        refused.append(NotComparable(label, (), _absent(before, row)))
    return Comparison(
        before=before.run.name,
        after=after.run.name,
        differing=circumstances(before, after),
        images=len(common.before),
        changes=tuple(changes),
        refused=tuple(refused),
        lost=tuple(lost),
        classes=after.run.dataset.classes,
        answers=tuple(answers),
    )


def _why_lost(after: Findings, row: pd.Series, other: pd.Series | None) -> str:
    if other is not None:
        return f"failed in {after.run.name}: {other['reason']}"
    for _, there in after.backbones.iterrows():
        # With random weights a backbone has another label.
        if there["backbone"] == row["backbone"] and there["weights"] != row["weights"]:
            return f"weights differ: {row['weights']} | {there['weights']}"
    return _absent(after, row)


def _renamed(row: pd.Series, rows: Mapping[str, pd.Series]) -> str:
    """Return the label of the same backbone at the same size in the other run: only where a run has
    several sizes, labels hold it."""
    same = ("backbone", "input_size", "weights")
    return next((name for name, one in rows.items() if all(one[x] == row[x] for x in same)), "")


def _absent(findings: Findings, row: pd.Series) -> str:
    left_out = dict(skipped(findings))
    sized = at_size(row["backbone"], row["input_size"])
    why = left_out.get(row["backbone"], left_out.get(sized))
    return (
        f"not in {findings.run.name}" if why is None else f"skipped in {findings.run.name}: {why}"
    )


@dataclass(frozen=True)
class _Side:
    """One label in one of the runs; `records` are the trials that its row is the mean of."""

    findings: Findings
    row: pd.Series
    records: tuple[Record, ...]

    def lacks(self, figure: str) -> str:
        """Say which seeds lack this figure; "" if none does."""
        trials = self.findings.trials
        of_label = trials[(trials["label"] == self.row["label"]) & (trials["status"] == "ok")]
        missing = of_label[of_label[figure].isna()]["seed"]
        if missing.empty:
            return ""
        seeds = "" if len(missing) == len(of_label) else f" for {fmt.seeds(missing)}"
        return f"no usable figure{seeds} in {self.findings.run.name}"

    @cached_property
    def _answers(self) -> list[tuple[Counts, Floats]]:
        """Return the test labels and probabilities of each seed, none where a figure is missing."""
        run = self.findings.run
        found = (
            labels_and_probabilities(run.evidence_of(record, TEST_ARRAYS), "test")
            for record in self.records
        )
        return [one for one in found if one is not None]

    def each(self, images: Sequence[int], figure: str) -> Floats:
        """Return right or wrong, or the loss, of each of these test images: seeds x images."""
        places = list(images)
        if figure == "accuracy":
            rows = [(shares.argmax(axis=1) == true)[places] for true, shares in self._answers]
            return np.stack(rows).astype(np.float64)
        return log_losses(np.stack([of_true(*found)[places] for found in self._answers]))

    def called(self, images: Sequence[int]) -> Counts:
        """Return the class of each of these test images with the highest mean probability over the
        seeds."""
        each = [shares[list(images)] for _, shares in self._answers]
        found: Counts = np.mean(each, axis=0).argmax(axis=1)
        return found

    def timed(self) -> ProcessTimings | None:
        """Return the one-image queries and calibration work of the process; seeds share them."""
        for record in self.records:
            taken = durations(self.findings.run.evidence_of(record), 1)
            if taken is not None:
                return ProcessTimings(taken, record.session.calibration if record.session else ())
        return None


def _side(findings: Findings, row: pd.Series) -> _Side:
    finished = [r for r in findings.records[row["label"]] if r.status == "ok"]
    ranked = [one.record for one in findings.compared.get(row["label"], ())]
    return _Side(findings, row, tuple(ranked or finished))


@dataclass(frozen=True)
class _Pair:
    """One label in both runs."""

    label: str
    before: _Side
    after: _Side
    common: InCommon
    machine: str  # what differs in the machine; "" where it is the same

    def compare(self, figure: str) -> ChangedFigure | str:
        """Return the change, or why there is none."""
        sides = (self.before, self.after)
        reason = self._unlike(figure) or "; ".join(filter(None, (s.lacks(figure) for s in sides)))
        if reason:
            return reason
        if figure in PAIRED:
            return self._paired(figure)
        old, new = (float(side.row[figure]) for side in sides)
        if figure == "latency_p50_ms":
            return ChangedFigure(self.label, figure, old, new, *self._latency_interval())
        return ChangedFigure(self.label, figure, old, new)

    def _unlike(self, figure: str) -> str:
        """Say what the figure depends on and the two runs do not share."""
        match METRICS[figure].kind:
            case "answers":
                if RANDOM_INIT in (self.before.row["weights"], self.after.row["weights"]):
                    return f"{RANDOM_INIT}: accuracy means nothing"
                whole = figure in PAIRED or self.common.same
                return self.common.reason or ("" if whole else "test images differ")
            case "training":
                return self.machine or self._sizes() or self._training_images()
            case "inference":
                return self.machine or self._sizes()
        return ""

    def _sizes(self) -> str:
        one, other = (side.row["input_size"] for side in (self.before, self.after))
        return "" if one == other else f"input size differs: {one} px | {other} px"

    def _training_images(self) -> str:
        one, other = (side.records[0].train_images for side in (self.before, self.after))
        known = one and other  # older records did not count them
        return f"training images differ: {one:,} | {other:,}" if known and one != other else ""

    def _paired(self, figure: str) -> ChangedFigure:
        old = self.before.each(self.common.before, figure)
        new = self.after.each(self.common.after, figure)
        # Paired: images that both get right, or both wrong, say nothing about the difference.
        apart = paired_difference(new, old)
        if figure == "accuracy":
            low, high = difference_interval(apart, new.shape[-1], min(len(old), len(new)))
        else:
            low, high = student_interval(apart)
        means = float(old.mean()), float(new.mean())
        return ChangedFigure(self.label, figure, *means, float(low), float(high))

    def changed_answers(self) -> ChangedAnswers:
        """Return the shared test images that the two runs call differently."""
        old, new = self.before.called(self.common.before), self.after.called(self.common.after)
        split = self.after.findings.run.dataset.splits["test"]
        return changed_answers(self.label, old, new, self.common, split)

    def _latency_interval(self) -> tuple[float | None, float | None]:
        old, new = self.before.timed(), self.after.timed()
        found = median_change_interval(old, new) if old and new else None
        return (None, None) if found is None else (1000 * found[0], 1000 * found[1])
