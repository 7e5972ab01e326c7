"""`results/index.html`: every run, and the history of each backbone on each data set.

Figures come from each run's `summary.csv`, accuracies from its `verdict.json`, which are written
with its reports: a folder of a hundred runs is listed without reading their arrays.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.analysis import format as fmt
from bench.errors import BenchError
from bench.reports.html.document import document
from bench.reports.html.values import Json, cell, number, text
from bench.storage.run_folder import RunMeta, read_meta
from bench.system.files import remove_stale, write_atomic

FILE = "index.html"
DAMAGE = (
    BenchError,
    csv.Error,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)
STYLES = ("base.css", "report.css", "index.css")
SCRIPTS = ("dom.js", "theme.js", "tip.js", "scale.js", "table.js", "index.js")


@dataclass(frozen=True)
class HistoryEntry:
    """One backbone in one run: means over the seeds that finished."""

    backbone: str
    input_size: int
    accuracy: float | None  # from the run's verdict; None if not ranked
    latency: float | None
    seeds: int


@dataclass(frozen=True)
class Past:
    """One run, as far as the list shows it."""

    name: str
    meta: RunMeta
    entries: Sequence[HistoryEntry]
    failed: int
    best: str | None = None  # None if nothing is ranked
    accuracy: float | None = None  # of the best
    recommended: str | None = None

    @property
    def protocol(self) -> str:
        precision = self.meta.settings.precision
        half = "" if precision == "float32" else f", {precision}"
        return text(self.meta.protocol.name + half, 60)


def write_index(results: Path) -> Path:
    """List the runs of a results folder; returns the file."""
    remove_stale(results, below=False)
    runs = sorted(_runs(results), key=lambda run: (run.meta.created, run.name), reverse=True)
    data = {"runs": [_run(results, run) for run in runs], "datasets": _datasets(runs)}
    path = results / FILE
    write_atomic(path, document("Runs – backbone-bench", data, {}, styles=STYLES, scripts=SCRIPTS))
    return path


def _runs(results: Path) -> Iterator[Past]:
    for folder in results.iterdir():
        # `latest` is a link to a run that is in the list anyway.
        if folder.is_symlink() or not (folder / "run.json").is_file():
            continue
        try:
            yield _past(folder)
        except DAMAGE:  # a damaged run is listed without figures
            yield Past(folder.name, RunMeta(), (), 0)


def _past(folder: Path) -> Past:
    rows, verdict = _rows(folder / "summary.csv"), _verdict(folder / "verdict.json")
    accuracies = {s["label"]: float(s["accuracy"]) for s in verdict.get("standings", ())}
    best = verdict.get("best")
    return Past(
        folder.name,
        read_meta(folder),
        _entries(rows, accuracies),
        sum(row["status"] != "ok" for row in rows),
        best=best,
        accuracy=accuracies.get(best) if best else None,
        recommended=verdict.get("recommended"),
    )


def _verdict(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _entries(
    rows: Sequence[Mapping[str, str]], accuracies: Mapping[str, float]
) -> list[HistoryEntry]:
    found: dict[tuple[str, int], list[Mapping[str, str]]] = {}
    for row in rows:
        if row["status"] == "ok":
            found.setdefault((row["backbone"], int(row["input_size"])), []).append(row)
    return [
        HistoryEntry(
            backbone=backbone,
            input_size=size,
            accuracy=next(
                (accuracies[r["label"]] for r in trials if r["label"] in accuracies), None
            ),
            latency=_mean(trials, "latency_p50_ms"),
            seeds=len(trials),
        )
        for (backbone, size), trials in found.items()
    ]


def _mean(rows: Sequence[Mapping[str, str]], name: str) -> float | None:
    values = [float(row[name]) for row in rows if row.get(name)]
    return sum(values) / len(values) if values else None


def _run(results: Path, run: Past) -> Json:
    page = "report.html" if (results / run.name / "report.html").is_file() else "report.md"
    counts = run.meta.dataset.counts
    return {
        "name": text(run.name),
        "link": f"{quote(run.name)}/{page}",
        "created": _day(run.meta.created),
        "dataset": text(run.meta.dataset.name or "not known", 80),
        "images": cell(f"{sum(counts.values()):,}" if counts else "", sum(counts.values())),
        "protocol": run.protocol,
        "backbones": cell(str(len(run.entries)), len(run.entries)),
        "failed": cell(str(run.failed) if run.failed else "", run.failed),
        "best": text(run.best, 60) if run.best else fmt.MISSING,
        "accuracy": _accuracy(run.accuracy),
        "recommended": text(run.recommended, 60) if run.recommended else fmt.MISSING,
    }


def _accuracy(value: float | None) -> Json:
    return cell(fmt.MISSING) if value is None else cell(fmt.percent(value), value)


def _datasets(runs: Sequence[Past]) -> list[Json]:
    """Group by content, not by name: figures on other images are not comparable."""
    by_content: dict[str, list[Past]] = {}
    for run in runs:
        if run.entries:
            by_content.setdefault(run.meta.dataset.fingerprint or run.name, []).append(run)
    return [
        {
            "name": text(group[0].meta.dataset.name or "not known", 80),
            "fingerprint": fingerprint[:8],
            "runs": len(group),
            "backbones": _histories(group),
        }
        for fingerprint, group in by_content.items()
    ]


def _histories(runs: Sequence[Past]) -> list[Json]:
    found: dict[str, list[Json]] = {}
    for run in runs:
        for entry in run.entries:
            found.setdefault(entry.backbone, []).append(
                {
                    "run": text(run.name),
                    "created": _day(run.meta.created),
                    "protocol": run.protocol,
                    "px": cell(str(entry.input_size), entry.input_size),
                    "seeds": cell(str(entry.seeds), entry.seeds),
                    "accuracy": _accuracy(entry.accuracy),
                    "latency": cell(fmt.milliseconds(entry.latency), number(entry.latency))
                    if entry.latency is not None
                    else cell(fmt.MISSING),
                }
            )
    return [{"label": text(name), "runs": found[name]} for name in sorted(found)]


def _day(created: str) -> str:
    """Return `2025-03-01 12:00`, which sorts chronologically."""
    return text(created[:16].replace("T", " "))
