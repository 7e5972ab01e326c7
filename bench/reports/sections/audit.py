"""Data audit: what was found before training, and the effect of leaked images."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.leaks import leak_effects
from bench.reports.audit import audit_section
from bench.reports.blocks import Column, Estimate, Section, Table, Value

PLACE = 25
ACCURACIES = (
    Column("Backbone"),
    Column("All test images", fmt.percent),
    Column("Images", fmt.whole),
    Column("Without leaked images", fmt.percent),
    Column("Images without", fmt.whole),
)
ABOUT_ACCURACIES = (
    "Computed from the stored predictions, with 95% intervals. The models are the same, trained "
    "with the copies; `--on-leak drop` trains without the copies."
)


def section(findings: Findings) -> Section | None:
    """Return the findings of the run's audit; `None` without one."""
    kept = findings.audit
    if kept is None:
        return None
    ids = findings.run.dataset.splits["test"].ids
    rows: list[tuple[Value, ...]] = []
    for leak in leak_effects(kept, ids, findings.predictions):
        row: list[Value] = [leak.label]
        for one in (leak.every, leak.clean):
            row += [Estimate(one.accuracy, one.low, one.high), one.images] if one else [None, 0]
        rows.append(tuple(row))
    title = "Accuracy without leaked images"
    tables = [Table(title, ACCURACIES, tuple(rows), about=ABOUT_ACCURACIES)] if rows else []
    return audit_section(kept, "Data audit", tables)
