"""Where the time of each trial went."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, cell, table, text

PARTS = ("imports", "data", "build", "features", "compile", "train", "measure", "total", "reused")
ABOUT = (
    "All times are from cold caches; “reused” is the part of the total that was cached. “features” "
    "is the forward passes of the frozen part, “data” is decoding."
)


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    trials = [
        (label, record)
        for label, records in findings.records.items()
        for record in records
        if record.status == "ok" and record.seconds
    ]
    if not trials:
        return None
    rows = [
        [
            text(label),
            cell(str(record.trial.seed), record.trial.seed),
            *(
                cell(fmt.duration(record.seconds[n]), record.seconds[n])
                if n in record.seconds
                else cell(fmt.MISSING)
                for n in PARTS
            ),
        ]
        for label, record in trials
    ]
    return {"about": ABOUT, "table": table(["Backbone", "Seed", *PARTS], rows, left=(0,))}
