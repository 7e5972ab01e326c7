"""What failed, was skipped or could not be read, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import facts
from bench.analysis.findings import Findings
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, text

MAX_SHOWN = 200


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    images = findings.run.dataset.excluded
    groups = [
        ("Failed", facts.failures(findings)),
        ("Skipped before training", facts.skipped(findings)),
        ("Images left out", [(image.id, image.reason) for image in images]),
    ]
    found = [
        {
            "title": title,
            "items": [[text(who), text(why)] for who, why in items[:MAX_SHOWN]],
            "more": max(0, len(items) - MAX_SHOWN),
        }
        for title, items in groups
        if items
    ]
    return {"groups": found} if found else None
