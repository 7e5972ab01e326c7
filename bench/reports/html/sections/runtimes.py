"""The trained models as deployed: a row for each runtime of a backbone."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.format import Show
from bench.analysis.runtimes import RuntimeFigures, rows
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, cell, table, text
from bench.reports.sections.runtimes import ABOUT, TITLES, figures, is_plain


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    found = rows(findings)
    if is_plain(found):
        return None
    return {
        "about": ABOUT.replace("*", "").replace("`", ""),
        "table": table(TITLES, [_row(row) for row in found], left=(0, 1)),
        "notes": [
            f"{text(row.label)}, {text(row.runtime)} failed: {text(row.reason)}"
            for row in found
            if row.status != "ok"
        ],
    }


def _row(row: RuntimeFigures) -> list[Json | str]:
    start: list[Json | str] = [text(row.label), text(row.runtime)]
    if row.status != "ok":
        return [*start, cell("failed"), *([cell(fmt.MISSING)] * (len(TITLES) - 3))]
    return [*start, *(_cell(value, show) for value, show in figures(row))]


def _cell(value: float | None, show: Show) -> Json:
    return cell(fmt.MISSING if value is None else show(value), value)
