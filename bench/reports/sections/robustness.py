"""Accuracy on corrupted test images."""

from __future__ import annotations

import numpy as np

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.robustness import CorruptedAccuracy
from bench.analysis.statistics import wilson
from bench.reports.blocks import Block, Column, Estimate, Section, Table, Value, words
from bench.reports.charts import Axis, Chart, Panel, Span, accuracies

PLACE = 70


def section(findings: Findings) -> Section | None:
    """Return a row for each pretrained backbone; a corruption's column is a mean over strengths."""
    found = findings.robustness
    if found is None:
        return None
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (label, row.clean, row.mean, *(float(share) for share in row.corrupted.mean(axis=1)))
        for label, row in found.rows.items()
    )
    titles = ("As they are", "Corrupted", *found.corruptions)
    shares = (Column(title, fmt.percent, better="higher", shaded=True) for title in titles)
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
    table = Table("Accuracy on corrupted images", (Column("Backbone"), *shares), rows)
    blocks: list[Block] = [table, _chart(found)]
    return Section("robustness", "Robustness", about, blocks, {"robustness.csv": _file(found)})


def _chart(found: CorruptedAccuracy) -> Chart:
    """Draw a row a backbone; the first column is the clean images."""
    shares = np.array([[row.clean, *row.corrupted.ravel()] for row in found.rows.values()])
    strengths = tuple(str(strength + 1) for strength in range(found.strengths))
    spans = [Span(0, 1, "none")]
    for number, kind in enumerate(found.corruptions):
        start = 1 + number * found.strengths
        spans.append(Span(start, start + found.strengths, kind))
    panel = Panel(
        Axis("strength", names=("0", *strengths * len(found.corruptions))),
        Axis(names=tuple(found.rows)),
        (accuracies(shares, tuple(found.rows)),),
        spans=tuple(spans),
    )
    return Chart("robustness", "Accuracy on corrupted images, %", (panel,))


def _file(found: CorruptedAccuracy) -> Table:
    """Return one row for each backbone, corruption and strength; strength 0 is the clean image.

    The interval is Wilson's over the images, at the mean over the seeds.
    """
    columns = (
        *words("label", "corruption"),
        Column("strength", fmt.whole),
        Column("accuracy", fmt.percent),
        Column("images", fmt.whole),
    )
    rows = tuple(
        (label, kind, strength, _estimate(share, row.images), row.images)
        for label, row in found.rows.items()
        for kind, strength, share in [("none", 0, row.clean), *row.shares(found.corruptions)]
    )
    return Table("Accuracy under each corruption", columns, rows)


def _estimate(share: float, images: int) -> Estimate:
    return Estimate(share, *wilson(share * images, images))
