"""Confusion matrices, whose cells open their images on the page, and the most frequent
confusions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Counts
from bench.reports.blocks import Block, Column, ConfusionCount, Section, Table, Value, text_columns
from bench.reports.charts import Axis, Cells, Chart, Panel

PLACE = 14
MAX_CELLS = 10_000  # drawn off the diagonal of a matrix of many classes, the largest first
MAX_PICTURES = 6  # backbones, the first of the ranked table; report.html has all
MAX_WRITTEN = 24  # classes; with more, there is no room for figures in the cells
MAX_NAMED = 50  # classes; with more, the axes have no names
MAX_LISTED = 15  # confusions listed for each backbone
CONFUSIONS = (
    *text_columns("Backbone", "True", "Predicted"),
    Column("Predictions", fmt.whole),
    Column("Of the class", fmt.percent),
)


def section(findings: Findings) -> Section | None:
    """Return the matrices of all pretrained backbones that have predictions."""
    found = {n: findings.confusions[n] for n in findings.records if n in findings.confusions}
    if not found:
        return None
    classes = findings.run.dataset.classes
    scale = ", on a square-root scale" if len(classes) > MAX_WRITTEN else ""
    chart = Chart(
        "confusion",
        "Confusion matrix",
        tuple(_matrix(n, found[n], classes, len(findings.predictions[n])) for n in found),
        f"Rows are the true class, columns the predicted one. Shade: fraction of a row{scale}.",
        choice="Backbone",
        on_paper=MAX_PICTURES,
    )
    rows = tuple(row for label in found for row in _confusions(label, found[label], classes))
    blocks: list[Block] = [chart]
    if rows:
        blocks.append(Table("Most frequent confusions", CONFUSIONS, rows, follows=chart.name))
    return Section("confusion", chart.title, "", blocks)


def _wrong(counts: Counts) -> Counts:
    """Return the flat indices of the filled cells off the diagonal, the largest count first."""
    off = counts.copy()
    np.fill_diagonal(off, 0)
    found = np.flatnonzero(off)
    return found[np.argsort(-off.flat[found], kind="stable")]


def _confusions(label: str, counts: Counts, classes: Sequence[str]) -> Iterator[tuple[Value, ...]]:
    """Yield the most frequent confusions of a backbone."""
    for place in _wrong(counts)[:MAX_LISTED].tolist():
        cell = true, predicted = divmod(place, len(classes))
        count = int(counts[cell])
        share = count / int(counts[true].sum())
        yield label, classes[true], classes[predicted], ConfusionCount(count, label, cell), share


def _matrix(label: str, counts: Counts, classes: Sequence[str], seeds: int = 1) -> Panel:
    """Draw the matrix of one backbone; the shade is the fraction of a row."""
    number = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    note = f"{np.trace(counts):,} of {counts.sum():,} test images correct"
    note += f", summed over {seeds} seeds." if seeds > 1 else "."
    if number > MAX_WRITTEN:
        # Ties are in random order: in that of the classes, the last ones would lose all cells.
        wrong = np.random.default_rng(0).permutation(_wrong(counts))
        small = wrong[np.argsort(-counts.flat[wrong], kind="stable")][MAX_CELLS:]
        shares.flat[small] = 0
        note += f" The {len(small):,} smallest cells are left out." if len(small) else ""
        # Rare mistakes among many classes would be invisible on a linear scale.
        cells = Cells(np.sqrt(shares, dtype=np.float32))
    else:
        rows = zip(counts, shares, strict=True)
        texts = [[_text(*cell, number) for cell in zip(*row, strict=True)] for row in rows]
        cells = Cells(shares, texts, opens=counts.tolist())
    names = tuple(classes) if number <= MAX_NAMED else ("",) * number
    axes = Axis("predicted", names=names), Axis("true", names=names)
    return Panel(*axes, (cells,), label, note=note)


def _text(count: int, share: float, classes: int) -> str:
    if classes <= 4:  # there is room for zeros and a decimal
        return f"{count:,}\n{share:.1%}"
    return f"{count:,}\n{share:.0%}" if count else ""
