"""Two runs against each other: what changed, how sure that is, and what cannot be compared.

Accuracies are compared where both models answered the same test images, and only over those; times
where the machine was the same; sizes always. Whatever cannot be compared is named with the field
that differs. From records alone, whichever machines and dates they came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.metrics.base import METRICS
from bench.metrics.classification import answers
from bench.records import Evidence
from bench.report.circumstances import Circumstance, circumstances, machine_difference
from bench.report.findings import Findings
from bench.report.images_in_common import InCommon, in_common
from bench.report.labels import RANDOM_INIT
from bench.report.paired import interval_of_means, interval_of_shares
from bench.types import Record

SHOWN = (
    "accuracy",
    "loss",
    "latency_p50_ms",
    "throughput_images_per_second",
    "train_seconds",
    "size_mb",
)
PAIRED = ("accuracy", "loss")
RESAMPLES = 2000

Kind = Literal["answers", "time", "size"]
_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("s", "ms", "images/s"), "time"),
    **dict.fromkeys(("MB", "parameters"), "size"),
}
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """One figure of one backbone, before and after; no interval where none can be had."""

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
    def certain(self) -> bool:
        """Whether it is more than chance explains, as far as there is an interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class NotComparable:
    """What was not compared, and the field that stands in the way."""

    label: str
    figures: str  # "accuracy and loss", "times", "everything"
    reason: str


@dataclass(frozen=True)
class Comparison:
    """All that two runs say of each other."""

    before: str
    after: str
    differing: tuple[Circumstance, ...]  # what else is not the same; the cause may be among it
    images: int  # test images that both answered
    changes: tuple[Change, ...]
    refused: tuple[NotComparable, ...]
    lost: tuple[str, ...]  # finished before, and not after


def compare(before: Findings, after: Findings, figures: Sequence[str] = SHOWN) -> Comparison:
    """Hold `after` against `before`, label by label."""
    common = in_common(before.run.dataset, after.run.dataset)
    machine = machine_difference(before, after)
    changes: list[Change] = []
    refused: list[NotComparable] = []
    rows = {row["label"]: row for _, row in after.backbones.iterrows()}
    lost = []
    for _, row in before.backbones.iterrows():
        label = row["label"]
        other = rows.pop(label, None)
        if row["status"] != "ok":
            refused.append(NotComparable(label, "everything", f"failed in {before.run.name}"))
            continue
        if other is None or other["status"] != "ok":
            lost.append(label)
            refused.append(NotComparable(label, "everything", _why_lost(after, row, other)))
            continue
        pair = _Pair(before, after, row, other, common, machine)
        changes += pair.changes(figures)
        refused += pair.refused()
    for label in rows:
        refused.append(NotComparable(label, "everything", f"in {before.run.name} it is not there"))
    return Comparison(
        before=before.run.name,
        after=after.run.name,
        differing=circumstances(before, after),
        images=len(common.before),
        changes=tuple(changes),
        refused=tuple(refused),
        lost=tuple(lost),
    )


def _why_lost(after: Findings, row: pd.Series, other: pd.Series | None) -> str:
    where = f"in {after.run.name} it"
    if other is not None:
        return f"{where} failed: {other['reason']}"
    for _, there in after.backbones.iterrows():
        # Labels tell random weights apart: then the backbone is there, under another label.
        if there["backbone"] == row["backbone"] and there["weights"] != row["weights"]:
            return f"weights differ: {row['weights']} | {there['weights']}"
    return f"{where} is not there"


@dataclass(frozen=True)
class _Pair:
    """One label in both runs."""

    before: Findings
    after: Findings
    row: pd.Series
    other: pd.Series
    common: InCommon
    machine: str  # what differs in the machine; "" where it is the same

    def changes(self, figures: Iterable[str]) -> list[Change]:
        found = []
        for figure in figures:
            kind = _KINDS.get(METRICS[figure].unit, "answers")
            if kind == "answers" and self._answers_refused():
                continue
            if kind == "time" and self.machine:
                continue
            if kind == "answers" and figure in PAIRED:
                change = self._paired(figure)
            elif kind == "answers" and not self.common.same:
                continue  # a figure over other images
            else:
                change = self._plain(figure)
            found += [change] if change is not None else []
        return found

    def refused(self) -> list[NotComparable]:
        found = []
        label = str(self.row["label"])
        if reason := self._answers_refused():
            found.append(NotComparable(label, "accuracy and loss", reason))
        if self.machine:
            found.append(NotComparable(label, "times", self.machine))
        return found

    def _answers_refused(self) -> str:
        if RANDOM_INIT in (self.row["weights"], self.other["weights"]):
            return "random init: accuracy means nothing"
        return self.common.reason

    def _plain(self, figure: str) -> Change | None:
        if figure == "latency_p50_ms":
            return self._latency()
        old, new = float(self.row[figure]), float(self.other[figure])
        if np.isnan(old) or np.isnan(new):
            return None
        return Change(str(self.row["label"]), figure, old, new)

    def _paired(self, figure: str) -> Change | None:
        old = self._each(self.before, self.common.before, figure)
        new = self._each(self.after, self.common.after, figure)
        if old is None or new is None:
            return None
        interval = interval_of_shares if figure == "accuracy" else interval_of_means
        label = str(self.row["label"])
        return Change(label, figure, float(old.mean()), float(new.mean()), *interval(old, new))

    def _each(self, findings: Findings, images: Sequence[int], figure: str) -> Array | None:
        """Right or wrong, or the loss, of each image in common: seeds x images."""
        rows = []
        for record in _finished(findings.records[self.row["label"]]):
            found = answers(_evidence(findings, record), "test")
            if found is None:
                return None
            labels, probabilities = (part[list(images)] for part in found)
            if figure == "accuracy":
                rows.append((probabilities.argmax(axis=1) == labels).astype(np.float64))
            else:
                of_true = probabilities[np.arange(len(labels)), labels]
                rows.append(-np.log(np.clip(of_true, np.finfo(np.float64).eps, 1)))
        return np.stack(rows) if rows else None

    def _latency(self) -> Change | None:
        """The interval is over the queries: what another process or hour would add is not in it."""
        label = str(self.row["label"])
        old = _durations(self.before, self.before.records[label])
        new = _durations(self.after, self.after.records[label])
        if old is None or new is None:
            return None
        random = np.random.default_rng(0)
        drawn = [
            np.median(random.choice(each, (RESAMPLES, len(each))), axis=1) for each in (old, new)
        ]
        low, high = np.percentile(drawn[1] - drawn[0], (2.5, 97.5))
        medians = float(np.median(old)), float(np.median(new))
        return Change(label, "latency_p50_ms", *medians, float(low), float(high))


def _durations(findings: Findings, records: Sequence[Record]) -> Array | None:
    """Milliseconds of each query, one image each. Seeds are timed once, so the first will do."""
    for record in _finished(records):
        if record.runtimes and record.runtimes[0].status == "ok":
            name = f"latency_{record.runtimes[0].name}_b1"
            found = _evidence(findings, record).arrays.get(name)
            if found is not None and len(found):
                return 1000 * found.astype(np.float64)
    return None


def _finished(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.status == "ok"]


def _evidence(findings: Findings, record: Record) -> Evidence:
    return Evidence(record, findings.run.dataset.classes, findings.run.folder)
