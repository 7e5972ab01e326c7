"""The comparison of two runs: what changed, with 95% intervals, and what cannot be compared.

Accuracies are compared on the test images that both runs have, times only if machine and work are
the same, sizes always. A figure that cannot be compared is listed with the field that differs. The
comparison needs the stored records alone, from any machine and date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.facts import skipped_backbones
from bench.analysis.findings import Findings
from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.classification import Counts, Floats, labels_and_probabilities
from bench.analysis.metrics.latency import durations
from bench.analysis.run_differences import (
    ChangedPredictions,
    FieldDifference,
    SharedImages,
    changed_predictions,
    field_differences,
    machine_difference,
    shared_test_images,
)
from bench.analysis.statistics.intervals import (
    difference_interval,
    paired_difference,
    student_interval,
)
from bench.analysis.statistics.timing import ProcessTimings, median_change_interval
from bench.storage.records import TEST_ARRAYS
from bench.training.losses import log_losses, true_class_probabilities
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
    """One figure of one backbone, before and after."""

    label: str
    figure: str
    before: float
    after: float
    low: float | None = None  # ends of the 95% interval of the difference; None: not available
    high: float | None = None

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def is_significant(self) -> bool:
        """Return whether the interval of the change excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class NotComparable:
    """Figures of one backbone that cannot be compared, and why."""

    label: str
    figures: tuple[str, ...]  # empty: all of them
    reason: str

    def includes(self, label: str, figure: str) -> bool:
        return label == self.label and (not self.figures or figure in self.figures)


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two runs."""

    before: str
    after: str
    differing: tuple[FieldDifference, ...]  # possible causes of the changes
    images: int  # test images that both runs have
    changes: tuple[ChangedFigure, ...]
    refused: tuple[NotComparable, ...]
    lost: tuple[str, ...]  # labels that finished in the first run only
    classes: tuple[str, ...] = ()
    answers: tuple[ChangedPredictions, ...] = ()  # of the backbones whose accuracy is compared


def compare(before: Findings, after: Findings, figures: Sequence[str] = SHOWN) -> Comparison:
    """Compare two runs, label by label and figure by figure."""
    shared = shared_test_images(before.run.dataset, after.run.dataset)
    machine = machine_difference(before, after)
    changes: list[ChangedFigure] = []
    changed: list[ChangedPredictions] = []
    refused: list[NotComparable] = []
    rows = {row["label"]: row for _, row in after.backbones.iterrows()}
    lost = []
    for _, row in before.backbones.iterrows():
        label = row["label"]
        other = rows.pop(label if label in rows else _label_in_other_run(row, rows), None)
        if row["status"] != "ok":
            why = f"failed in {before.run.name}: {row['reason']}"
            refused.append(NotComparable(label, (), why))
            continue
        if other is None or other["status"] != "ok":
            lost.append(label)
            refused.append(NotComparable(label, (), _why_lost(after, row, other)))
            continue
        pair = _Pair(label, _side(before, row), _side(after, other), shared, machine)
        reasons: dict[str, list[str]] = {}
        for figure in figures:
            found = pair.compare(figure)
            if isinstance(found, ChangedFigure):
                changes.append(found)
            else:
                reasons.setdefault(found, []).append(figure)
        if "accuracy" in {change.figure for change in changes if change.label == label}:
            changed.append(pair.changed_predictions())
        refused += [NotComparable(label, tuple(of), reason) for reason, of in reasons.items()]
    for label, row in rows.items():
        refused.append(NotComparable(label, (), _why_absent(before, row)))
    runs = before.run, after.run
    same_name = before.run.name == after.run.name
    names = [str(run.folder) if same_name else run.name for run in runs]
    return Comparison(
        before=names[0],
        after=names[1],
        differing=field_differences(before, after),
        images=len(shared.before),
        changes=tuple(changes),
        refused=tuple(refused),
        lost=tuple(lost),
        classes=after.run.dataset.classes,
        answers=tuple(changed),
    )


def _why_lost(after: Findings, row: pd.Series, other: pd.Series | None) -> str:
    if other is not None:
        return f"failed in {after.run.name}: {other['reason']}"
    for _, there in after.backbones.iterrows():
        # With random weights a backbone has another label.
        if there["backbone"] == row["backbone"] and there["weights"] != row["weights"]:
            return f"weights differ: {row['weights']} | {there['weights']}"
    return _why_absent(after, row)


def _label_in_other_run(row: pd.Series, rows: Mapping[str, pd.Series]) -> str:
    """Return the label of the same backbone, input size and weights in `rows`; "" if there is none.

    Labels differ if only one of the runs has several input sizes.
    """
    same = ("backbone", "input_size", "weights")
    return next((name for name, one in rows.items() if all(one[x] == row[x] for x in same)), "")


def _why_absent(findings: Findings, row: pd.Series) -> str:
    left_out = dict(skipped_backbones(findings))
    sized = at_size(row["backbone"], row["input_size"])
    why = left_out.get(row["backbone"], left_out.get(sized))
    return (
        f"not in {findings.run.name}" if why is None else f"skipped in {findings.run.name}: {why}"
    )


@dataclass(frozen=True)
class _Side:
    """One label in one of the runs."""

    findings: Findings
    row: pd.Series
    records: tuple[Record, ...]  # the trials that `row` is the mean of

    def why_missing(self, figure: str) -> str:
        """Return which seeds have no such figure; "" if all have it."""
        trials = self.findings.trials
        of_label = trials[(trials["label"] == self.row["label"]) & (trials["status"] == "ok")]
        missing = of_label[of_label[figure].isna()]["seed"]
        if missing.empty:
            return ""
        seeds = "" if len(missing) == len(of_label) else f" for {fmt.seeds(missing)}"
        return f"no usable figure{seeds} in {self.findings.run.name}"

    @cached_property
    def _predictions(self) -> list[tuple[Counts, Floats]]:
        """Return the test labels and probabilities of each seed that has usable ones."""
        run = self.findings.run
        found = (
            labels_and_probabilities(run.evidence_of(record, TEST_ARRAYS), "test")
            for record in self.records
        )
        return [one for one in found if one is not None]

    def per_image(self, images: Sequence[int], figure: str) -> Floats:
        """Return the accuracy (1 or 0) or the loss on each of these test images (seeds, images)."""
        indices = list(images)
        if figure == "accuracy":
            rows = [(p.argmax(axis=1) == true)[indices] for true, p in self._predictions]
            return np.stack(rows).astype(np.float64)
        return log_losses(
            np.stack([true_class_probabilities(*found)[indices] for found in self._predictions])
        )

    def predicted_classes(self, images: Sequence[int]) -> Counts:
        """Return the class of each of these test images by the mean probability over seeds."""
        each = [probabilities[list(images)] for _, probabilities in self._predictions]
        found: Counts = np.mean(each, axis=0).argmax(axis=1)
        return found

    def timings(self) -> ProcessTimings | None:
        """Return the one-image queries and the calibration timings, which all seeds share."""
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
    shared: SharedImages
    machine: str  # how the machines differ; "" if they are the same

    def compare(self, figure: str) -> ChangedFigure | str:
        """Return the change of a figure, or why it cannot be compared."""
        sides = (self.before, self.after)
        missing = (side.why_missing(figure) for side in sides)
        if reason := self._why_not_comparable(figure) or "; ".join(filter(None, missing)):
            return reason
        if figure in PAIRED:
            return self._paired_change(figure)
        old, new = (float(side.row[figure]) for side in sides)
        if figure == "latency_p50_ms":
            return ChangedFigure(self.label, figure, old, new, *self._latency_interval())
        return ChangedFigure(self.label, figure, old, new)

    def _why_not_comparable(self, figure: str) -> str:
        """Return what differs between the runs that the figure depends on; "" if nothing."""
        match METRICS[figure].kind:
            case "answers":
                if RANDOM_INIT in (self.before.row["weights"], self.after.row["weights"]):
                    return f"{RANDOM_INIT}: accuracy means nothing"
                whole = figure in PAIRED or self.shared.same
                return self.shared.reason or ("" if whole else "test images differ")
            case "training":
                return self.machine or self._size_difference() or self._training_difference()
            case "inference":
                return self.machine or self._size_difference()
        return ""

    def _size_difference(self) -> str:
        one, other = (side.row["input_size"] for side in (self.before, self.after))
        return "" if one == other else f"input size differs: {one} px | {other} px"

    def _training_difference(self) -> str:
        one, other = (side.records[0].train_images for side in (self.before, self.after))
        known = one and other  # older records did not count them
        return f"training images differ: {one:,} | {other:,}" if known and one != other else ""

    def _paired_change(self, figure: str) -> ChangedFigure:
        old = self.before.per_image(self.shared.before, figure)
        new = self.after.per_image(self.shared.after, figure)
        difference = paired_difference(new, old)
        if figure == "accuracy":
            low, high = difference_interval(difference, new.shape[-1], min(len(old), len(new)))
        else:
            low, high = student_interval(difference)
        means = float(old.mean()), float(new.mean())
        return ChangedFigure(self.label, figure, *means, float(low), float(high))

    def changed_predictions(self) -> ChangedPredictions:
        """Return the shared test images for which the two runs predict different classes."""
        old = self.before.predicted_classes(self.shared.before)
        new = self.after.predicted_classes(self.shared.after)
        split = self.after.findings.run.dataset.splits["test"]
        return changed_predictions(self.label, old, new, self.shared, split)

    def _latency_interval(self) -> tuple[float | None, float | None]:
        old, new = self.before.timings(), self.after.timings()
        found = median_change_interval(old, new) if old and new else None
        return (None, None) if found is None else (1000 * found[0], 1000 * found[1])
