"""The choice of a backbone under limits: the pick, the others, and what a higher limit would allow.

Of the backbones within the limits, the pick is the cheapest that is shown to be within the margin
of the most accurate, as in the verdict. Random weights are never picked. If a runtime is given,
accuracy, latency and size are those of the model as converted for that runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Literal

import numpy as np
import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.cost import LATENCY, Cheapest, cheapest, timing_drift
from bench.analysis.findings import Findings
from bench.analysis.ranked_predictions import (
    Lead,
    RankedPredictions,
    predictions_after_training,
    predictions_of_runtime,
)
from bench.analysis.runtimes import RuntimeFigures
from bench.analysis.statistics.margin import Place, place
from bench.errors import NotRankedError, UsageError
from bench.types import RANDOM_INIT, REFERENCE

PLACES: tuple[Place, ...] = ("best", "within", "undecided", "worse")
Limit = Literal["latency", "size", "accuracy"]


@dataclass(frozen=True)
class Limits:
    """The limits that a model must keep to; `None`: no limit."""

    max_latency_ms: float | None = None
    max_mb: float | None = None
    min_accuracy: float | None = None
    runtime: str | None = None  # None: the reference runtime


@dataclass(frozen=True)
class Refusal:
    """Why a backbone is refused."""

    reason: str
    limit: Limit | None = None  # the limit that it exceeds, if that is the reason


@dataclass(frozen=True)
class Candidate:
    """One backbone of the run, with the figures that the choice depends on."""

    label: str
    backbone: str
    accuracy: float | None
    low: float | None
    high: float | None
    latency_ms: float | None
    size_mb: float | None  # of the converted file, where the runtime has one
    seed: int | None = None  # of the one model that the runtime ran, which all figures are of
    keras_accuracy: float | None = None  # of that model before its conversion
    refusals: tuple[Refusal, ...] = ()
    lead: Lead | None = None  # over the pick, in accuracy
    place: Place | None = None  # against the most accurate within the limits


@dataclass(frozen=True)
class RaisedLimit:
    """A higher limit, and the backbone that it would allow."""

    limit: Limit
    to: float  # the new limit
    more: float  # than the present limit
    candidate: Candidate


@dataclass(frozen=True)
class Choice:
    """The result of `choose`."""

    limits: Limits
    pick: Candidate | None  # None: no backbone is within the limits
    runners_up: tuple[Candidate, ...]
    refused: tuple[Candidate, ...]
    purchases: tuple[RaisedLimit, ...]
    margin: float  # fraction, 0.01 is one point
    cheapest_by: str = ""  # the cost in which the pick is the cheapest within the margin, if any
    cheapest_of_all_by: str = ""  # the same, if it is the cheapest of all within the limits


def choose(findings: Findings, limits: Limits) -> Choice:
    """Choose a backbone of the run under the limits; `NotRankedError` if nothing is ranked."""
    figures = _figures_by_label(findings, limits.runtime)
    if findings.verdict.differences:
        raise NotRankedError(findings.verdict.sentence)
    named = limits.runtime not in (None, REFERENCE)
    ranked = (
        predictions_of_runtime(findings, figures) if named else predictions_after_training(findings)
    )
    candidates = [
        _candidate(findings, row, ranked, figures.get(row["label"]), limits)
        for _, row in findings.backbones.iterrows()
    ]
    fitting = [c for c in candidates if not c.refusals]
    refused = [c for c in candidates if c.refusals]
    if not fitting:
        raised = _raised_limits(None, refused, limits)
        return Choice(limits, None, (), tuple(refused), raised, findings.margin)
    placed = place(np.stack([ranked.correct[c.label] for c in fitting]), findings.margin)
    fitting = [replace(c, place=p.place) for c, p in zip(fitting, placed, strict=True)]
    least = _cheapest(findings, [c for c in fitting if c.place in ("best", "within")])
    least_of_all = _cheapest(findings, fitting)
    best = next(c.label for c in fitting if c.place == "best")
    taken = best if least is None else least.label
    fitting, refused = (
        [replace(c, lead=ranked.lead(c.label, over=taken)) for c in some]
        for some in (fitting, refused)
    )
    pick = next(c for c in fitting if c.label == taken)
    others = [c for c in fitting if c is not pick]
    others.sort(key=lambda c: (PLACES.index(c.place or "worse"), -_accuracy(c)))
    return Choice(
        limits,
        pick,
        tuple(others),
        tuple(refused),
        _raised_limits(pick, refused, limits),
        findings.margin,
        "" if least is None else least.by,
        least_of_all.by if least_of_all is not None and least_of_all.label == taken else "",
    )


def _cheapest(findings: Findings, candidates: Sequence[Candidate]) -> Cheapest | None:
    """Return the cheapest candidate; latencies are those of the requested runtime."""
    labels = [c.label for c in candidates]
    rows = findings.backbones.set_index("label").loc[labels]
    rows[LATENCY] = pd.Series([c.latency_ms for c in candidates], index=labels, dtype="float64")
    drift = timing_drift(r for label in labels for r in findings.records[label])
    return cheapest(rows, drift)


def _figures_by_label(findings: Findings, runtime: str | None) -> Mapping[str, RuntimeFigures]:
    """Return the figures of a runtime by label; `UsageError` if the run was not timed with it."""
    rows = findings.runtimes
    known = dict.fromkeys(row.runtime for row in rows)
    if runtime is not None and runtime not in known:
        listed = ", ".join(known) if known else "none"
        raise UsageError(
            f"run {findings.run.name} was not timed with runtime {runtime!r}. Known: {listed}; "
            f"--runtimes of `run` adds others."
        )
    return {row.label: row for row in rows if row.runtime == (runtime or REFERENCE)}


def _candidate(
    findings: Findings,
    row: pd.Series,
    ranked: RankedPredictions,
    timed: RuntimeFigures | None,
    limits: Limits,
) -> Candidate:
    label = row["label"]
    accuracy, seed = ranked.accuracy.get(label), ranked.seed.get(label)
    converted = timed if timed is not None and timed.artefact_mb is not None else None
    found = Candidate(
        label=label,
        backbone=findings.records[label][0].trial.name,
        accuracy=None if accuracy is None else accuracy.value,
        low=None if accuracy is None else accuracy.low,
        high=None if accuracy is None else accuracy.high,
        latency_ms=None if timed is None else timed.latency_p50_ms,
        size_mb=_float_or_none(row["size_mb"]) if converted is None else converted.artefact_mb,
        seed=seed,
        keras_accuracy=None if seed is None else _keras_accuracy(findings, label, seed),
    )
    return replace(found, refusals=tuple(_refusals(found, row, timed, limits)))


def _keras_accuracy(findings: Findings, label: str, seed: int) -> float | None:
    trials = findings.trials
    of_seed = trials[(trials["label"] == label) & (trials["seed"] == seed)]
    return _float_or_none(of_seed["accuracy"].iloc[0])


def _refusals(
    candidate: Candidate, row: pd.Series, timed: RuntimeFigures | None, limits: Limits
) -> list[Refusal]:
    if row["status"] != "ok":
        return [Refusal(f"failed: {row['reason']}")]
    if row["weights"] == RANDOM_INIT:
        return [Refusal("no pretrained weights: its accuracy means nothing")]
    if limits.runtime is not None and (timed is None or timed.status != "ok"):
        why = f": {timed.reason}" if timed is not None and timed.reason else ""
        return [Refusal(f"it does not run on {limits.runtime}{why}")]
    if limits.runtime is not None and timed is not None and timed.accuracy is None:
        why = "its test predictions are not stored, or not usable"
        return [Refusal(f"its accuracy on {limits.runtime} is not known: {why}")]
    if candidate.accuracy is None:
        return [Refusal("it has no test predictions to compare with the others'")]
    found: list[Refusal] = []
    if limits.max_latency_ms is not None:
        found += _check_maximum(
            "latency", candidate.latency_ms, limits.max_latency_ms, fmt.milliseconds
        )
    if limits.max_mb is not None:
        found += _check_maximum("size", candidate.size_mb, limits.max_mb, fmt.megabytes)
    if limits.min_accuracy is not None and candidate.accuracy < limits.min_accuracy:
        short = f"{fmt.percent(candidate.accuracy)} accuracy, {fmt.percent(limits.min_accuracy)}"
        found.append(Refusal(f"{short} is required", "accuracy"))
    return found


def _check_maximum(limit: Limit, value: float | None, most: float, show: fmt.Show) -> list[Refusal]:
    if value is None:
        return [Refusal(f"its {limit} was not measured")]
    if value <= most:
        return []
    return [Refusal(f"{show(value)} {limit}, {show(value - most)} above {show(most)}", limit)]


def _raised_limits(
    pick: Candidate | None, refused: Sequence[Candidate], limits: Limits
) -> tuple[RaisedLimit, ...]:
    """Return, for each limit, the smallest raise that allows a more accurate backbone."""
    found = []
    upper: dict[Limit, tuple[float | None, str]] = {
        "latency": (limits.max_latency_ms, "latency_ms"),
        "size": (limits.max_mb, "size_mb"),
    }
    for limit, (most, figure) in upper.items():
        within = [
            (getattr(c, figure), c)
            for c in refused
            if all(refusal.limit == limit for refusal in c.refusals)
            and (pick is None or _accuracy(c) > _accuracy(pick))
        ]
        if within and most is not None:  # always set if a candidate exceeds it
            to, least = min(within, key=itemgetter(0))
            found.append(RaisedLimit(limit, to, to - most, least))
    return tuple(found)


def _accuracy(candidate: Candidate) -> float:
    assert candidate.accuracy is not None  # without one it would have been refused
    return candidate.accuracy


def _float_or_none(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
