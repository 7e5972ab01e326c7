"""Runtimes: the trained models as deployed, with a row for each backbone and runtime."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.blocks import Column, Notes, Section, Table

PLACE = 90
COLUMNS = (
    Column("Backbone", name="label"),
    Column("Runtime", name="runtime"),
    Column("Status", name="status"),
    Column("File", fmt.megabytes, "artefact_mb", "MB", "lower"),
    Column("Converted in", fmt.duration, "convert_seconds", "s", "lower"),
    Column("Accuracy", fmt.percent, "accuracy", better="higher"),
    Column("Same as Keras", fmt.percent, "agreement", better="higher"),
    Column("Largest diff.", "{:.1e}".format, "largest_difference", better="lower"),
    Column("p50", fmt.milliseconds, "latency_p50_ms", "ms", "lower"),
    Column("p90", fmt.milliseconds, "latency_p90_ms", "ms", "lower"),
    Column("Images/s", fmt.significant, "images_per_second", "images/s", "higher"),
    Column("Memory", fmt.megabytes, "memory_mb", "MB", "lower"),
    Column("Reason", name="reason"),
)
SHOWN = range(len(COLUMNS) - 1)  # reasons are listed below the table
ABOUT = (
    "Each artefact was loaded again from its file and classified every test image. Same as Keras "
    "is the fraction of images with the same predicted class; Largest diff. is the largest "
    "difference of any probability. The backbones of one runtime were timed in turns, the runtimes "
    "one after the other. `runtimes.csv` has all digits."
)


def section(findings: Findings) -> Section | None:
    """Return a row for each backbone and runtime; only the file if nothing but Keras was
    measured."""
    found = findings.runtimes
    if not found:
        return None
    table = Table(
        "Runtimes", COLUMNS, tuple(tuple(getattr(row, c.name) for c in COLUMNS) for row in found)
    )
    files = {"runtimes.csv": table}
    if all(row.runtime == "keras" and row.status == "ok" for row in found):
        return Section("runtimes", "Runtimes", "", (), files)
    failed = [(f"{row.label}, {row.runtime}", row.reason) for row in found if row.status != "ok"]
    blocks = table.only(SHOWN), Notes(tuple(failed), "Failed")
    return Section("runtimes", "Runtimes", ABOUT, blocks, files)
