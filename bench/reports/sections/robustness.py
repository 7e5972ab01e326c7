"""Accuracy on corrupted test images."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.blocks import Cell, Column, Drawing, Section, Table, figure, words

PLACE = 70


def section(findings: Findings) -> Section | None:
    """Return a row for each pretrained backbone; a corruption's column is a mean over strengths."""
    found = findings.robustness
    if found is None:
        return None
    rows = tuple(
        (
            Cell(label),
            *(figure(share, fmt.percent) for share in (row.clean, row.mean)),
            *(figure(float(share), fmt.percent) for share in row.corrupted.mean(axis=1)),
        )
        for label, row in found.rows.items()
    )
    titles = ("As they are", "Corrupted", *found.corruptions)
    columns = (*words("Backbone"), *(Column(title, shaded=True) for title in titles))
    images = next(iter(found.rows.values())).images
    there = len(findings.run.dataset.splits["test"])
    which = f"all {there:,}" if images == there else f"{images:,} class-balanced of {there:,}"
    over = "Means over seeds. " if findings.several_seeds else ""
    about = (
        f"{over}Accuracy on {which} test images, clean and corrupted; Corrupted is the mean over "
        f"all corruptions, each the mean over {found.strengths} strengths. `robustness.csv` has "
        f"every strength with its 95% interval. Noise and JPEG are applied to the pixels at the "
        f"network's input size, so compare backbones of the same input size."
    )
    table = Table("Accuracy on corrupted images", columns, rows)
    return Section("robustness", "Robustness", about, [table, Drawing("", pictures="robustness")])
