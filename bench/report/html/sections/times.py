"""Where the time of each trial went."""

from __future__ import annotations

from collections.abc import Mapping

from bench.report import format as fmt
from bench.report.findings import Findings
from bench.report.html.evidence import Seen
from bench.report.html.values import Json, cell, table, text

PARTS = {
    "imports": "importing the framework",
    "data": "decoding the images",
    "build": "building the network",
    "features": "forward passes of what stays frozen",
    "compile": "compiling",
    "train": "training",
    "measure": "measuring",
}


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    trials = [
        (label, record)
        for label, records in findings.records.items()
        for record in records
        if record.status == "ok" and record.seconds
    ]
    if not trials:
        return None
    names = [*PARTS, "total", "reused"]
    rows = [
        [
            text(label),
            cell(str(record.trial.seed), record.trial.seed),
            *(
                cell(fmt.duration(record.seconds[n]), record.seconds[n])
                if n in record.seconds
                else cell(fmt.MISSING)
                for n in names
            ),
        ]
        for label, record in trials
    ]
    return {"parts": PARTS, "table": table(["Backbone", "Seed", *names], rows, left=(0,))}
