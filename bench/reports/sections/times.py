"""Where the time of each trial went."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.blocks import Column, Section, Table

PLACE = 110
# Parts that only some trials have.
ON_REQUEST = ("tuning", "robustness", "probes", "heatmaps", "neighbours", "umap", "soup")
PARTS = ("imports", "data", "build", "features", "compile", "train", "measure", *ON_REQUEST)
IMPORTANCE = {"total": 90, "train": 80, "features": 70}
MAX_OPEN = 12  # trials; a page collapses a longer table
ABOUT = (
    "All times are those without any cache; “reused” is the part of the total that a cache saved. "
    "“features” are the forward passes of the frozen part, “data” is decoding."
)


def section(findings: Findings) -> Section | None:
    """Return a row for each finished trial; the parts sum to the total."""
    ok = [(label, r) for label, rs in findings.records.items() for r in rs if r.status == "ok"]
    spent = {part for _, record in ok for part in record.seconds}
    if not spent:
        return None
    parts = [part for part in PARTS if part in spent or part not in ON_REQUEST]
    parts += ["total", "reused"]
    rows = tuple(
        (label, record.trial.seed, *(record.seconds.get(part) for part in parts))
        for label, record in ok
    )
    figures = (Column(part, fmt.duration, importance=IMPORTANCE.get(part, 50)) for part in parts)
    columns = (Column("Backbone"), Column("Seed", str, importance=85), *figures)
    table = Table(f"Times of {len(rows)} trials", columns, rows, folded=len(rows) > MAX_OPEN)
    return Section("times", "Where the time went", ABOUT, [table])
