"""What the trained models become when they are deployed: a row for each runtime of a backbone."""

from __future__ import annotations

from collections.abc import Callable

from bench.report import format as fmt
from bench.report.escape import markdown as safe
from bench.report.findings import Findings
from bench.report.markdown_parts import table
from bench.report.runtimes import rows

LONG = 300
TITLES = (
    *("Backbone", "Runtime", "File", "Converted in", "Accuracy", "Same as Keras"),
    *("Largest diff.", "p50", "p90", "Images/s"),
)
ABOUT = (
    "Each artefact was loaded again from its file, and answered every test image. *Same as Keras* "
    "is the share of them that it calls the same, *Largest diff.* the largest difference of any "
    "probability. The backbones of one runtime were timed in turns; the runtimes followed one "
    "another. `runtimes.csv` has the whole figures."
)


def text(findings: Findings) -> str:
    """Nothing where the reference was all that was asked for, and it worked."""
    found = rows(findings)
    if all(row.runtime == "keras" and row.status == "ok" for row in found):
        return ""
    lines = []
    for row in found:
        start = [safe(row.label), row.runtime]
        if row.status != "ok":
            lines.append([*start, "failed", *[fmt.MISSING] * (len(TITLES) - 3)])
            continue
        lines.append(
            [
                *start,
                _cell(row.artefact_mb, fmt.megabytes),
                _cell(row.convert_seconds, fmt.duration),
                _cell(row.accuracy, fmt.percent),
                _cell(row.agreement, fmt.percent),
                _cell(row.largest_difference, lambda value: f"{value:.1e}"),
                _cell(row.latency_p50_ms, fmt.milliseconds),
                _cell(row.latency_p90_ms, fmt.milliseconds),
                _cell(row.images_per_second, fmt.significant),
            ]
        )
    parts = ["## Runtimes", table(TITLES, lines, left=(0, 1)), ABOUT]
    failed = [
        f"- {safe(row.label)}, {row.runtime}: {safe(row.reason, LONG)}"
        for row in found
        if row.status != "ok"
    ]
    return "\n\n".join([*parts, *(["\n".join(["**Failed**", "", *failed])] if failed else [])])


def _cell(value: float | None, show: Callable[[float], str]) -> str:
    return fmt.MISSING if value is None else show(value)
