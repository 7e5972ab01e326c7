"""What failed, was skipped or could not be read, each with its reason."""

from __future__ import annotations

from bench.analysis import facts
from bench.analysis.findings import Findings
from bench.reports.blocks import Section, limited_notes

PLACE = 120
MAX_SHOWN = 100


def section(findings: Findings) -> Section | None:
    """Return the failures, skipped backbones and unusable images; `None` if there are none."""
    images = [(image.id, image.reason) for image in findings.run.dataset.excluded]
    groups = (
        ("Failed", facts.failures(findings), "records.jsonl"),
        ("Skipped before training", facts.skipped_backbones(findings), "run.json"),
        ("Unusable images", images, "dataset.json"),
    )
    notes = [
        limited_notes(items, MAX_SHOWN, f"in `{file}`", title) for title, items, file in groups
    ]
    found = Section("left_out", "Left out", "", notes)
    return found if found.blocks else None
