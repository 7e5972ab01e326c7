"""Which backbone to take under limits: the pick, the others, and what a higher limit would allow.

From records alone. Of the backbones within the limits, the pick is the cheapest that is shown to be
within the margin of the most accurate, as in the verdict. Random init is never picked. If a runtime
is given, accuracy, latency and size are those of the model as converted for that runtime.
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
from bench.analysis.ranked_answers import Lead, RankedAnswers, of_runtime, of_training
from bench.analysis.runtimes import RuntimeFigures
from bench.analysis.statistics.margin import Place, place
from bench.errors import NotRankedError, UsageError
from bench.types import RANDOM_INIT, REFERENCE

PLACES: tuple[Place, ...] = ("best", "within", "undecided", "worse")
Limit = Literal["latency", "size", "accuracy"]


@dataclass(frozen=True)
class Limits:
    """What the model must not exceed; None is no limit."""

    max_latency_ms: float | None = None
    max_mb: float | None = None
    min_accuracy: float | None = None
    runtime: str | None = None  # None: the reference runtime


@dataclass(frozen=True)
class Refusal:
    """Why a backbone was not picked; `limit` if raising that limit would admit it."""

    reason: str
    limit: Limit | None = None


@dataclass(frozen=True)
class Candidate:
    """One backbone of the run, with the figures that decide."""

    label: str
    backbone: str
    accuracy: float | None
    low: float | None
    high: float | None
    latency_ms: float | None
    size_mb: float | None  # of the converted file, where the runtime has one
    seed: int | None = None  # of the model that the named runtime ran; its figures are of that one
    keras_accuracy: float | None = None  # of that model before it was converted, for comparison
    refusals: tuple[Refusal, ...] = ()
    lead: Lead | None = None  # its accuracy over the pick's
    place: Place | None = None  # against the most accurate within the limits


@dataclass(frozen=True)
class Purchase:
    """What a higher limit would allow."""

    limit: Limit
    to: float
    more: float
    candidate: Candidate


@dataclass(frozen=True)
class Choice:
    """The result; `pick` is None if no backbone is within the limits."""

    limits: Limits
    pick: Candidate | None
    runners_up: tuple[Candidate, ...]
    refused: tuple[Candidate, ...]
    purchases: tuple[Purchase, ...]
    margin: float  # a share
    cheapest_by: str = ""  # the figure by which the pick is the cheapest, if any
    cheapest_of_all_by: str = ""  # the same, where the less accurate are not cheaper either


def choose(findings: Findings, limits: Limits) -> Choice:
    """Apply the limits to every backbone of the run."""
    timed = _timed(findings, limits.runtime)
    if findings.verdict.differences:
        raise NotRankedError(findings.verdict.sentence)
    named = limits.runtime not in (None, REFERENCE)
    answered = of_runtime(findings, timed) if named else of_training(findings)
    candidates = [
        _candidate(findings, row, answered, timed.get(row["label"]), limits)
        for _, row in findings.backbones.iterrows()
    ]
    fitting = [c for c in candidates if not c.refusals]
    refused = [c for c in candidates if c.refusals]
    if not fitting:
        bought = _purchases(None, refused, limits)
        return Choice(limits, None, (), tuple(refused), bought, findings.margin)
    placed = place(np.stack([answered.correct[c.label] for c in fitting]), findings.margin)
    fitting = [replace(c, place=p.place) for c, p in zip(fitting, placed, strict=True)]
    least = _cheapest(findings, [c for c in fitting if c.place in ("best", "within")])
    least_of_all = _cheapest(findings, fitting)
    best = next(c.label for c in fitting if c.place == "best")
    taken = best if least is None else least.label
    fitting, refused = (
        [replace(c, lead=answered.lead(c.label, over=taken)) for c in some]
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
        _purchases(pick, refused, limits),
        findings.margin,
        "" if least is None else least.by,
        least_of_all.by if least_of_all is not None and least_of_all.label == taken else "",
    )


def _cheapest(findings: Findings, candidates: Sequence[Candidate]) -> Cheapest | None:
    """Return the cheapest by the latency of the requested runtime."""
    labels = [c.label for c in candidates]
    rows = findings.backbones.set_index("label").loc[labels]
    rows[LATENCY] = pd.Series([c.latency_ms for c in candidates], index=labels, dtype="float64")
    drift = timing_drift(r for label in labels for r in findings.records[label])
    return cheapest(rows, drift)


def _timed(findings: Findings, asked: str | None) -> Mapping[str, RuntimeFigures]:
    """Return the figures of the runtime by label; an unknown runtime is an error."""
    rows = findings.runtimes
    known = dict.fromkeys(row.runtime for row in rows)
    if asked is not None and asked not in known:
        listed = ", ".join(known) if known else "none"
        raise UsageError(
            f"run {findings.run.name} was not timed with runtime {asked!r}. Known: {listed}; "
            f"--runtimes of `run` adds others."
        )
    return {row.label: row for row in rows if row.runtime == (asked or REFERENCE)}


def _candidate(
    findings: Findings,
    row: pd.Series,
    answered: RankedAnswers,
    timed: RuntimeFigures | None,
    limits: Limits,
) -> Candidate:
    label = row["label"]
    accuracy, seed = answered.accuracy.get(label), answered.seed.get(label)
    converted = timed if timed is not None and timed.artefact_mb is not None else None
    found = Candidate(
        label=label,
        backbone=findings.records[label][0].trial.name,
        accuracy=None if accuracy is None else accuracy.value,
        low=None if accuracy is None else accuracy.low,
        high=None if accuracy is None else accuracy.high,
        latency_ms=None if timed is None else timed.latency_p50_ms,
        size_mb=_number(row["size_mb"]) if converted is None else converted.artefact_mb,
        seed=seed,
        keras_accuracy=None if seed is None else _before(findings, label, seed),
    )
    return replace(found, refusals=tuple(_refusals(found, row, timed, limits)))


def _before(findings: Findings, label: str, seed: int) -> float | None:
    trials = findings.trials
    of_seed = trials[(trials["label"] == label) & (trials["seed"] == seed)]
    return _number(of_seed["accuracy"].iloc[0])


def _refusals(
    candidate: Candidate, row: pd.Series, timed: RuntimeFigures | None, limits: Limits
) -> list[Refusal]:
    if row["status"] != "ok":
        return [Refusal(f"failed: {row['reason']}")]
    if row["weights"] == RANDOM_INIT:
        return [Refusal(f"{RANDOM_INIT}: its accuracy means nothing")]
    if limits.runtime is not None and (timed is None or timed.status != "ok"):
        why = f": {timed.reason}" if timed is not None and timed.reason else ""
        return [Refusal(f"it does not run on {limits.runtime}{why}")]
    if limits.runtime is not None and timed is not None and timed.accuracy is None:
        why = "its own answers to the test images are not stored, or not usable"
        return [Refusal(f"its accuracy on {limits.runtime} is not known: {why}")]
    if candidate.accuracy is None:
        return [Refusal("it has no test answers to compare with the others'")]
    found: list[Refusal] = []
    if limits.max_latency_ms is not None:
        found += _above("latency", candidate.latency_ms, limits.max_latency_ms, fmt.milliseconds)
    if limits.max_mb is not None:
        found += _above("size", candidate.size_mb, limits.max_mb, fmt.megabytes)
    if limits.min_accuracy is not None and candidate.accuracy < limits.min_accuracy:
        short = f"{fmt.percent(candidate.accuracy)} accuracy, {fmt.percent(limits.min_accuracy)}"
        found.append(Refusal(f"{short} is asked for", "accuracy"))
    return found


def _above(limit: Limit, value: float | None, most: float, show: fmt.Show) -> list[Refusal]:
    if value is None:
        return [Refusal(f"its {limit} was not measured")]
    if value <= most:
        return []
    return [Refusal(f"{show(value)} {limit}, {show(value - most)} above {show(most)}", limit)]


def _purchases(
    pick: Candidate | None, refused: Sequence[Candidate], limits: Limits
) -> tuple[Purchase, ...]:
    """Find, for each limit, the smallest raise that admits something better than the pick."""
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
        if within and most is not None:  # refused by this limit alone, so there is one
            to, least = min(within, key=itemgetter(0))
            found.append(Purchase(limit, to, to - most, least))
    return tuple(found)


def _accuracy(candidate: Candidate) -> float:
    assert candidate.accuracy is not None  # without one it would have been refused
    return candidate.accuracy


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
