"""`report.json`: every figure, for programs, after `bench/reports/schema/report-1.schema.json`.

The number in `format` is raised when a reader of the old format could misread the new one; adding
fields does not raise it. The published schema is generated from the types here:
`python -m bench.reports.formats.json_report` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from msgspec import Meta, json

from bench.analysis import facts
from bench.analysis.cost import Faster
from bench.analysis.findings import Findings
from bench.analysis.metrics.base import METRICS
from bench.analysis.warnings import warnings
from bench.system.files import to_json, write_atomic

FORMAT: Literal["backbone-bench-report/1"] = "backbone-bench-report/1"
TEXTS = ("label", "backbone", "status", "weights", "reason")
SCHEMA = Path(__file__).parent.parent / "schema" / "report-1.schema.json"

Count = Annotated[int, Meta(ge=0)]
Figures = Annotated[
    Mapping[str, float | None],
    Meta(description="by the names in `metrics`; null where there is no such figure"),
]


def _about(text: str) -> Meta:
    return Meta(description=text)


@dataclass(frozen=True)
class Data:
    """The images of the run."""

    name: str
    fingerprint: Annotated[str, _about("SHA-256 over classes, labels and content")]
    classes: Annotated[tuple[str, ...], Meta(min_length=2)]
    images: Annotated[Mapping[str, Count], _about("how many, by split")]


@dataclass(frozen=True)
class Protocol:
    """How every backbone was trained."""

    name: str
    digest: str
    summary: str


@dataclass(frozen=True)
class Verdict:
    """Which backbone is best, and which do not differ from it."""

    sentence: str
    best: Annotated[str | None, _about("a label of `backbones`")]
    # These names stay, because readers of the format rely on them.
    tied: Annotated[
        tuple[str, ...], _about("no significant difference from the best, which is not equality")
    ]
    cheapest: Annotated[str | None, _about("the same as `recommended`")]
    recommended: Annotated[
        str | None, _about("the cheapest of the best and those within the margin of it")
    ] = None
    margin: Annotated[float, _about("a fraction: 0.01 is one percentage point of accuracy")] = 0.0
    within: Annotated[tuple[str, ...], _about("shown to be within the margin of the best")] = ()
    undecided: tuple[str, ...] = ()
    worse: Annotated[tuple[str, ...], _about("shown to be worse than the best")] = ()
    largest_loss: Annotated[
        float, _about("how far behind any other the recommended one could be, a fraction")
    ] = 0.0
    faster: Annotated[
        Faster | None, _about("speed ratio of the recommended to the best, with its 95% interval")
    ] = None


@dataclass(frozen=True)
class Figure:
    """What a metric means."""

    title: str
    unit: str
    better: Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Row:
    """The fields that backbones and trials share."""

    label: str
    backbone: str
    status: Literal["ok", "failed"]
    weights: Annotated[str, _about("imagenet, file, random init, or empty")]
    reason: Annotated[str, _about("why it failed, or empty")]
    input_size: Annotated[int, Meta(ge=1)]
    rank: Annotated[int | None, _about("null: not to be ranked")]
    figures: Figures


@dataclass(frozen=True)
class Backbone(Row):
    """One backbone, over its seeds."""

    seeds: Annotated[int, Meta(ge=0, description="trials that finished")]
    failed: Count
    standard_deviations: Figures


@dataclass(frozen=True)
class Trial(Row):
    """One trial."""

    seed: Count
    trial: str


@dataclass(frozen=True)
class Report:
    """report.json of one run: every figure of every trial, and of every backbone over its seeds."""

    format: Literal["backbone-bench-report/1"]
    run: str
    created: Annotated[str, _about("ISO 8601, or empty")]
    dataset: Data
    protocol: Protocol
    environment: Mapping[str, str]
    warnings: tuple[str, ...]
    verdict: Verdict
    metrics: Mapping[str, Figure]
    backbones: tuple[Backbone, ...]
    trials: tuple[Trial, ...]


def write(findings: Findings) -> Path:
    """Write `report.json` into the run's folder; return the file."""
    path = findings.run.folder / "report.json"
    write_atomic(path, to_json(content(findings), indent=2) + "\n")
    return path


def content(findings: Findings) -> Report:
    """Return the whole report as data; NaN is null."""
    run, verdict = findings.run, findings.verdict
    return Report(
        format=FORMAT,
        run=run.name,
        created=run.meta.created,
        dataset=Data(
            run.dataset.name,
            run.dataset.fingerprint,
            run.dataset.classes,
            {name: len(split) for name, split in run.dataset.splits.items()},
        ),
        protocol=Protocol(
            run.meta.protocol.name, run.meta.protocol.digest, run.meta.protocol.summary
        ),
        environment=dict(facts.environment(findings)),
        warnings=tuple(warnings(findings)),
        verdict=Verdict(
            sentence=verdict.sentence,
            best=verdict.best,
            tied=tuple(verdict.not_significant),
            cheapest=verdict.recommended,
            recommended=verdict.recommended,
            margin=verdict.margin,
            within=tuple(verdict.placed("within")),
            undecided=tuple(verdict.placed("undecided")),
            worse=tuple(verdict.placed("worse")),
            largest_loss=verdict.largest_loss,
            faster=findings.faster,
        ),
        metrics={m.name: Figure(m.title, m.unit, m.better) for m in METRICS},
        backbones=tuple(_backbone(row) for _, row in findings.backbones.iterrows()),
        trials=tuple(
            Trial(**_shared(row), seed=int(row["seed"]), trial=str(row["trial"]))
            for _, row in findings.trials.iterrows()
        ),
    )


def schema() -> dict[str, Any]:
    """Return the published JSON schema."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": FORMAT}
    return head | json.schema(Report)


def _backbone(row: pd.Series) -> Backbone:
    spreads = {n: _number(row[f"{n}_std"]) for n in METRICS.names if f"{n}_std" in row.index}
    return Backbone(
        **_shared(row),
        seeds=int(row["seeds"]),
        failed=int(row["failed"]),
        standard_deviations=spreads,
    )


def _shared(row: pd.Series) -> dict[str, Any]:
    rank = row["rank"]
    return {name: str(row[name]) for name in TEXTS} | {
        "input_size": int(row["input_size"]),
        "rank": None if pd.isna(rank) else int(rank),
        "figures": {name: _number(row[name]) for name in METRICS.names},
    }


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


if __name__ == "__main__":
    write_atomic(SCHEMA, to_json(schema(), indent=2) + "\n")
