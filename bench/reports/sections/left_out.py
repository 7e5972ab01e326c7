"""What failed, was skipped or could not be read, each with its reason."""

from __future__ import annotations

from bench.analysis import facts
from bench.analysis.findings import Findings
from bench.reports.blocks import Section, listed

PLACE = 120
MAX_SHOWN = 100


def section(findings: Findings) -> Section | None:
    """Return a list for each kind; nothing where everything is there."""
    images = [(image.id, image.reason) for image in findings.run.dataset.excluded]
    groups = (
        ("Failed", facts.failures(findings), "records.jsonl"),
        ("Skipped before training", facts.skipped(findings), "run.json"),
        ("Images", images, "dataset.json"),
    )
    blocks = [
        listed(found, MAX_SHOWN, f"in `{file}`", title) for title, found, file in groups if found
    ]
    return Section("left_out", "Left out", "", blocks) if blocks else None
