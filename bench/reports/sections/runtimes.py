"""The trained models as deployed: a row for each runtime of a backbone."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.runtimes import RuntimeFigures, rows
from bench.reports.blocks import Cell, Notes, Section, Table, figure, figures, words

PLACE = 90
COLUMNS = (
    *words("Backbone", "Runtime"),
    *figures("File", "Converted in", "Accuracy", "Same as Keras", "Largest diff."),
    *figures("p50", "p90", "Images/s"),
)
ABOUT = (
    "Each artefact was loaded again from its file, and answered every test image. Same as Keras "
    "is the share of them that it calls the same, Largest diff. the largest difference of any "
    "probability. The backbones of one runtime were timed in turns; the runtimes one after the "
    "other. `runtimes.csv` has all digits."
)


def section(findings: Findings) -> Section | None:
    """Return the section; nothing where only the reference was requested, and it worked."""
    found = rows(findings)
    if all(row.runtime == "keras" and row.status == "ok" for row in found):
        return None
    table = Table("Runtimes", COLUMNS, tuple(_row(row) for row in found))
    failed = [(f"{row.label}, {row.runtime}", row.reason) for row in found if row.status != "ok"]
    notes = [Notes(tuple(failed), "Failed")] if failed else []
    return Section("runtimes", "Runtimes", ABOUT, [table, *notes])


def _row(row: RuntimeFigures) -> tuple[Cell, ...]:
    names = Cell(row.label), Cell(row.runtime)
    if row.status != "ok":
        return (*names, Cell("failed"), *[Cell(fmt.MISSING)] * (len(COLUMNS) - 3))
    return (
        *names,
        figure(row.artefact_mb, fmt.megabytes),
        figure(row.convert_seconds, fmt.duration),
        figure(row.accuracy, fmt.percent),
        figure(row.agreement, fmt.percent),
        figure(row.largest_difference, lambda value: f"{value:.1e}"),
        figure(row.latency_p50_ms, fmt.milliseconds),
        figure(row.latency_p90_ms, fmt.milliseconds),
        figure(row.images_per_second, fmt.significant),
    )
