"""`results/index.html`: every run, and the history of each backbone on each data set.

Accuracies come from each run's `verdict.json` and other figures from its `summary.csv`, so a folder
of a hundred runs is listed without reading their arrays.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.analysis import format as fmt
from bench.errors import BenchError
from bench.reports.blocks import Absent, Block, Column, Link, Section, Statement, Table
from bench.reports.charts import Axis, Chart, Mark, Panel, Points, line_layers
from bench.reports.html import build_page
from bench.reports.sections.leaderboard import NO_WEIGHTS
from bench.storage.run_folder import RunMeta, read_meta
from bench.system.files import remove_stale, write_atomic
from bench.types import RANDOM_INIT, at_size

FILE = "index.html"
DAMAGE = (
    *(BenchError, csv.Error, OSError, ValueError, TypeError, KeyError),
    *(AttributeError, RecursionError),
)
RUNS = (
    Column("Run"),
    Column("Created", importance=45),
    Column("Data set"),
    Column("Images", fmt.whole),
    Column("Protocol"),
    Column("Backbones", fmt.whole),
    Column("Failed", fmt.whole, better="lower"),
    Column("Best", importance=70),
    Column("Accuracy", fmt.percent, better="higher", importance=80),
    Column("Recommended"),
)
HISTORY = (
    Column("Backbone"),
    Column("Created", importance=45),
    Column("Run", importance=70),
    Column("Protocol"),
    Column("px", str),
    Column("Seeds", str),
    Column("Accuracy", fmt.percent, better="higher", importance=80),
    Column("p50", fmt.milliseconds, better="lower", importance=60),
)
ABOUT = (
    "Compare figures only within one data set and one protocol, and times only from the same "
    "machine. Runs with random weights have no meaningful accuracy."
)


@dataclass(frozen=True)
class HistoryEntry:
    """A backbone in a run, with means over the finished seeds."""

    backbone: str
    input_size: int
    accuracy: float | Absent | None  # from the run's verdict; None if not ranked
    latency: float | None
    seeds: int


@dataclass(frozen=True)
class PastRun:
    """A run as the list shows it."""

    link: Link  # to the report
    meta: RunMeta
    entries: Sequence[HistoryEntry]
    failed: int
    best: str | None = None  # None if nothing is ranked
    accuracy: float | None = None  # of the best
    recommended: str | None = None

    @property
    def name(self) -> str:
        return self.link.text

    @property
    def protocol(self) -> str:
        precision = self.meta.settings.precision
        half = "" if precision == "float32" else f", {precision}"
        return self.meta.protocol.name + half


def write_index(results: Path) -> Path:
    """Write `index.html`, the list of the runs of a results folder; return the file."""
    remove_stale(results, recursive=False)
    runs = sorted(_read_runs(results), key=lambda run: (run.meta.created, run.name), reverse=True)
    shown = [
        Section("overview", "Runs", "", [Statement(_count_text(runs), ABOUT)]),
        Section("runs", "All runs", "", [_runs_table(runs)]),
        *_history_sections(runs),
    ]
    path = results / FILE
    footer = "Rendered from the reports of the runs in this folder."
    write_atomic(path, build_page("Runs", shown, {}, footer))
    return path


def _count_text(runs: Sequence[PastRun]) -> str:
    if not runs:
        return "No runs yet."
    datasets = len({run.meta.dataset.fingerprint or run.name for run in runs if run.entries})
    return (
        f"{fmt.quantity(len(runs), 'run')} on {fmt.quantity(datasets, 'data set')}, newest first."
    )


def _read_runs(results: Path) -> Iterator[PastRun]:
    for folder in results.iterdir():
        # `latest` is a link to a run that is in the list anyway.
        if folder.is_symlink() or not (folder / "run.json").is_file():
            continue
        page = "report.html" if (folder / "report.html").is_file() else "report.md"
        link = Link(folder.name, f"{quote(folder.name)}/{page}")
        try:
            yield _read_past_run(folder, link)
        except DAMAGE:  # a damaged run is listed without figures
            yield PastRun(link, RunMeta(), (), 0)


def _read_past_run(folder: Path, link: Link) -> PastRun:
    rows = list(csv.DictReader(io.StringIO(_read_text(folder / "summary.csv"))))
    verdict = json.loads(_read_text(folder / "verdict.json") or "{}")
    accuracies = {s["label"]: float(s["accuracy"]) for s in verdict.get("standings", ())}
    best = verdict.get("best")
    return PastRun(
        link,
        read_meta(folder),
        _entries(rows, accuracies),
        sum(row["status"] != "ok" for row in rows),
        best=best,
        accuracy=accuracies.get(best) if best else None,
        recommended=verdict.get("recommended"),
    )


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


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
                (accuracies[r["label"]] for r in trials if r["label"] in accuracies),
                NO_WEIGHTS if trials[0].get("weights") == RANDOM_INIT else None,
            ),
            latency=_mean(trials, "latency_p50_ms"),
            seeds=len(trials),
        )
        for (backbone, size), trials in found.items()
    ]


def _mean(rows: Sequence[Mapping[str, str]], name: str) -> float | None:
    values = [float(row[name]) for row in rows if row.get(name)]
    return sum(values) / len(values) if values else None


def _runs_table(runs: Sequence[PastRun]) -> Table:
    """Return a row for each run, the newest first."""
    rows = tuple(
        (
            *(run.link, fmt.minute(run.meta.created), run.meta.dataset.name or "unknown"),
            *(sum(run.meta.dataset.counts.values()) or None, run.protocol, len(run.entries)),
            *(run.failed or None, run.best, run.accuracy, run.recommended),
        )
        for run in runs
    )
    return Table("All runs, newest first", RUNS, rows)


def _history_sections(runs: Sequence[PastRun]) -> Iterator[Section]:
    """Yield the history of each data set. Data sets are distinguished by content, not by name,
    because figures on different images are not comparable."""
    by_content: dict[str, list[PastRun]] = {}
    for run in runs:
        if run.entries:
            by_content.setdefault(run.meta.dataset.fingerprint or run.name, []).append(run)
    for number, (fingerprint, group) in enumerate(by_content.items(), 1):
        found = [(entry, run) for run in group for entry in run.entries]
        found.sort(key=lambda one: one[0].backbone)  # stable: the newest run comes first
        rows = tuple(
            (
                *(entry.backbone, fmt.minute(run.meta.created), run.link, run.protocol),
                *(entry.input_size, entry.seeds, entry.accuracy, entry.latency),
            )
            for entry, run in found
        )
        blocks: list[Block] = [Table("All runs of each backbone", HISTORY, rows)]
        if layers := _histories(group):
            axes = Axis("run, oldest to newest", whole=True), Axis("accuracy", percent=True)
            blocks.insert(0, Chart(f"history_{number}", "Accuracy", (Panel(*axes, layers),)))
        name = group[0].meta.dataset.name or "unknown"
        about = f"Content hash {fingerprint[:8]}, {fmt.quantity(len(group), 'run')}."
        yield Section(f"history_{number}", f"History on {name}", about, blocks)


def _histories(runs: Sequence[PastRun]) -> tuple[Points, ...]:
    """Return the accuracy over time of each backbone that is in several runs, the oldest first.
    Each input size has its own line."""
    sizes = {(entry.backbone, entry.input_size) for run in runs for entry in run.entries}
    times = Counter(backbone for backbone, _ in sizes)
    histories: dict[str, list[Mark]] = {}
    for place, run in enumerate(reversed(runs), 1):
        for entry in run.entries:
            if isinstance(entry.accuracy, float):
                tip = (fmt.percent(entry.accuracy), run.name, run.protocol)
                sized = at_size(entry.backbone, entry.input_size)
                name = sized if times[entry.backbone] > 1 else entry.backbone
                histories.setdefault(name, []).append(Mark(place, entry.accuracy, name, tip))
    return line_layers({label: marks for label, marks in histories.items() if len(marks) > 1})
