"""`report.json`: every figure for programs, as `bench/reports/schema/report-1.schema.json` has it.

The number in `format` is raised when a reader of the old one could misread the new one; fields may
be added without.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis import facts
from bench.analysis.findings import Findings
from bench.analysis.metrics.base import METRICS
from bench.analysis.statistics.margin import Place
from bench.system.files import to_json, write_atomic

FORMAT = "backbone-bench-report/1"
SCHEMA = Path(__file__).parent.parent / "schema" / "report-1.schema.json"
PLACES: tuple[Place, ...] = ("within", "undecided", "worse")
TEXTS = ("label", "backbone", "status", "weights", "reason")


def write(findings: Findings) -> Path:
    """Write it beside the other reports."""
    path = findings.run.folder / "report.json"
    write_atomic(path, to_json(content(findings), indent=2) + "\n")
    return path


def content(findings: Findings) -> dict[str, Any]:
    """The whole report as plain data; NaN is null."""
    run = findings.run
    protocol = run.meta.get("protocol", {})
    verdict = findings.verdict
    return {
        "format": FORMAT,
        "run": run.name,
        "created": str(run.meta.get("created", "")),
        "dataset": {
            "name": run.dataset.name,
            "fingerprint": run.dataset.fingerprint,
            "classes": list(run.dataset.classes),
            "images": {name: len(split) for name, split in run.dataset.splits.items()},
        },
        "protocol": {key: str(protocol.get(key, "")) for key in ("name", "digest", "summary")},
        "environment": dict(facts.environment(findings)),
        "warnings": facts.warnings(findings),
        "verdict": {
            "sentence": verdict.sentence,
            "best": verdict.best,
            "recommended": verdict.recommended,
            "margin": verdict.margin,
            **{place: list(verdict.placed(place)) for place in PLACES},
            # As the first readers of this format know them.
            "tied": list(verdict.not_significant),
            "cheapest": verdict.recommended,
        },
        "metrics": {
            m.name: {"title": m.title, "unit": m.unit, "better": m.better} for m in METRICS
        },
        "backbones": [_backbone(row) for _, row in findings.backbones.iterrows()],
        "trials": [_trial(row) for _, row in findings.trials.iterrows()],
    }


def _backbone(row: pd.Series) -> dict[str, Any]:
    spreads = {n: _number(row[f"{n}_std"]) for n in METRICS.names if f"{n}_std" in row.index}
    counts = {"seeds": int(row["seeds"]), "failed": int(row["failed"])}
    return _shared(row) | counts | {"standard_deviations": spreads}


def _trial(row: pd.Series) -> dict[str, Any]:
    return _shared(row) | {"seed": int(row["seed"]), "trial": str(row["trial"])}


def _shared(row: pd.Series) -> dict[str, Any]:
    rank = row["rank"]
    return {name: str(row[name]) for name in TEXTS} | {
        "input_size": int(row["input_size"]),
        "rank": None if pd.isna(rank) else int(rank),
        "figures": {name: _number(row[name]) for name in METRICS.names},
    }


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
