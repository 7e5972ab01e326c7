"""What the trained models become when they are deployed: a row for each runtime of a backbone."""

from __future__ import annotations

from collections.abc import Mapping

from bench.report import format as fmt
from bench.report.columns import Show
from bench.report.findings import Findings
from bench.report.html.evidence import Seen
from bench.report.html.values import Json, cell, table, text
from bench.report.runtimes import Row, rows
from bench.report.sections.runtimes import ABOUT, TITLES


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    found = rows(findings)
    if all(row.runtime == "keras" and row.status == "ok" for row in found):
        return None
    return {
        "about": ABOUT.replace("*", "").replace("`", ""),
        "table": table(TITLES, [_row(row) for row in found], left=(0, 1)),
        "notes": [
            f"{text(row.label)}, {row.runtime} failed: {text(row.reason)}"
            for row in found
            if row.status != "ok"
        ],
    }


def _row(row: Row) -> list[Json | str]:
    start: list[Json | str] = [text(row.label), row.runtime]
    if row.status != "ok":
        return [*start, cell("failed"), *([cell(fmt.MISSING)] * (len(TITLES) - 3))]
    return [
        *start,
        _cell(row.artefact_mb, fmt.megabytes),
        _cell(row.convert_seconds, fmt.duration),
        _cell(row.accuracy, fmt.percent),
        _cell(row.agreement, fmt.percent),
        _cell(row.largest_difference, lambda value: f"{value:.1e}"),
        _cell(row.latency_p50_ms, fmt.milliseconds),
        _cell(row.latency_p90_ms, fmt.milliseconds),
        _cell(row.images_per_second, fmt.significant),
    ]


def _cell(value: float | None, show: Show) -> Json:
    return cell(fmt.MISSING if value is None else show(value), value)
