"""Accuracy on corrupted test images, as a table next to its picture."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.reports.figures import Picture
from bench.reports.markdown_parts import shown, table


def text(findings: Findings, pictures: Sequence[Picture]) -> str:
    """Return a row for each pretrained backbone; a corruption's column is a mean over strengths."""
    found = findings.robustness
    if found is None:
        return ""
    rows = [
        [safe(label), fmt.percent(row.clean), fmt.percent(row.mean)]
        + [fmt.percent(share) for share in row.corrupted.mean(axis=1)]
        for label, row in found.rows.items()
    ]
    titles = ["Backbone", "As they are", "Corrupted", *map(safe, found.corruptions)]
    images = next(iter(found.rows.values())).images
    there = len(findings.run.dataset.splits["test"])
    which = f"all {there:,}" if images == there else f"{images:,} class-balanced of {there:,}"
    over = "Means over seeds. " if findings.several_seeds else ""
    about = (
        f"{over}Accuracy on {which} test images, clean and corrupted; *Corrupted* is the "
        f"mean over all corruptions, each the mean over {found.strengths} strengths. "
        f"`robustness.csv` has every strength with its 95% interval. Noise and JPEG are applied "
        f"to the pixels at the network's input size, so compare backbones of the same input size."
    )
    parts = ["## Robustness", table(titles, rows), about]
    return "\n\n".join([*parts, *shown(pictures, "robustness", "")])
