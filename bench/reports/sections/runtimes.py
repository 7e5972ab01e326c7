"""The trained models as deployed: a row for each runtime of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.analysis.format import Show
from bench.analysis.runtimes import RuntimeFigures, rows
from bench.reports.markdown_parts import table

LONG = 300
TITLES = (
    *("Backbone", "Runtime", "File", "Converted in", "Accuracy", "Same as Keras"),
    *("Largest diff.", "p50", "p90", "Images/s"),
)
ABOUT = (
    "Each artefact was loaded again from its file, and answered every test image. *Same as Keras* "
    "is the share of them that it calls the same, *Largest diff.* the largest difference of any "
    "probability. The backbones of one runtime were timed in turns; the runtimes one after the "
    "other. `runtimes.csv` has all digits."
)


def is_plain(found: Sequence[RuntimeFigures]) -> bool:
    """Return whether only the reference was requested, and it worked: then nothing is shown."""
    return all(row.runtime == "keras" and row.status == "ok" for row in found)


def figures(row: RuntimeFigures) -> list[tuple[float | None, Show]]:
    """Return the figures under `TITLES`, after the names, and how each is formatted."""
    return [
        (row.artefact_mb, fmt.megabytes),
        (row.convert_seconds, fmt.duration),
        (row.accuracy, fmt.percent),
        (row.agreement, fmt.percent),
        (row.largest_difference, lambda value: f"{value:.1e}"),
        (row.latency_p50_ms, fmt.milliseconds),
        (row.latency_p90_ms, fmt.milliseconds),
        (row.images_per_second, fmt.significant),
    ]


def text(findings: Findings) -> str:
    """Return the section; nothing if only the reference ran."""
    found = rows(findings)
    if is_plain(found):
        return ""
    lines = []
    for row in found:
        start = [safe(row.label), safe(row.runtime)]
        if row.status != "ok":
            lines.append([*start, "failed", *[fmt.MISSING] * (len(TITLES) - 3)])
            continue
        shown = (fmt.MISSING if value is None else show(value) for value, show in figures(row))
        lines.append([*start, *shown])
    parts = ["## Runtimes", table(TITLES, lines, left=(0, 1)), ABOUT]
    failed = [
        f"- {safe(row.label)}, {safe(row.runtime)}: {safe(row.reason, LONG)}"
        for row in found
        if row.status != "ok"
    ]
    return "\n\n".join([*parts, *(["\n".join(["**Failed**", "", *failed])] if failed else [])])
