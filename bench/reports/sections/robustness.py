"""Robustness: accuracy on corrupted test images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.robustness import Robustness
from bench.analysis.statistics import wilson
from bench.reports.blocks import Block, Column, Estimate, Section, Table, Value, text_columns
from bench.reports.charts import Axis, Chart, Panel, Span, accuracy_cells

PLACE = 70


def section(findings: Findings) -> Section | None:
    """Return a row for each pretrained backbone; corruptions are means over their strengths."""
    found = findings.robustness
    if not found:
        return None
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (label, row.clean_correct / row.images, row.mean, *row.corrupted.mean(axis=1).tolist())
        for label, row in found.items()
    )
    first = next(iter(found.values()))
    titles = ("Clean", "Corrupted", *first.corruptions)
    shares = (Column(title, fmt.percent, better="higher", shaded=True) for title in titles)
    images, there = first.images, len(findings.run.dataset.splits["test"])
    _, strengths = first.correct.shape
    which = f"all {there:,}" if images == there else f"{images:,} class-balanced of {there:,}"
    over = "Means over seeds. " if findings.several_seeds else ""
    about = (
        f"{over}Accuracy on {which} test images, clean and corrupted. Corrupted is the mean over "
        f"all corruptions, each the mean over {strengths} strengths. `robustness.csv` has "
        f"every strength with its 95% interval. Noise and JPEG are applied to the pixels at the "
        f"network's input size, so compare backbones of the same input size."
    )
    table = Table("Accuracy on corrupted images", (Column("Backbone"), *shares), rows)
    blocks: list[Block] = [table, _chart(found)]
    return Section("robustness", "Robustness", about, blocks, {"robustness.csv": _file(found)})


def _chart(found: Mapping[str, Robustness]) -> Chart:
    """Draw a row for each backbone; the first column is on the clean images."""
    shares = np.array([[share for _, _, share in _shares(row)] for row in found.values()])
    first = next(iter(found.values()))
    count = first.correct.shape[1]
    spans = [Span(0, 1, "none")]
    for number, kind in enumerate(first.corruptions):
        start = 1 + number * count
        spans.append(Span(start, start + count, kind))
    panel = Panel(
        Axis("strength", names=tuple(str(strength) for _, strength, _ in _shares(first))),
        Axis(names=tuple(found)),
        (accuracy_cells(shares, tuple(found)),),
        spans=tuple(spans),
    )
    return Chart("robustness", "Accuracy on corrupted images, %", (panel,))


def _file(found: Mapping[str, Robustness]) -> Table:
    """Return `robustness.csv`: a row for each backbone, corruption and strength; 0 is clean.

    The interval is Wilson's over the images, at the mean over the seeds.
    """
    columns = (
        *text_columns("label", "corruption"),
        Column("strength", fmt.whole),
        Column("accuracy", fmt.percent),
        Column("images", fmt.whole),
    )
    rows = tuple(
        (
            label,
            kind,
            strength,
            Estimate(share, *wilson(share * row.images, row.images)),
            row.images,
        )
        for label, row in found.items()
        for kind, strength, share in _shares(row)
    )
    return Table("Accuracy under each corruption", columns, rows)


def _shares(row: Robustness) -> Iterator[tuple[str, int, float]]:
    """Yield the accuracy on clean images, then that of each corruption and strength."""
    yield "none", 0, row.clean_correct / row.images
    for kind, shares in zip(row.corruptions, row.corrupted.tolist(), strict=True):
        for strength, share in enumerate(shares, 1):
            yield kind, strength, share
