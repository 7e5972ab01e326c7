"""Confusion matrices, whose cells open their images on the page, and the classes that are mixed up
most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Counts
from bench.reports.blocks import Answers, Block, Column, Section, Table, Value, words
from bench.reports.charts import Axis, Cells, Chart, Panel

PLACE = 14
MAX_CELLS = 10_000  # off the diagonal that a matrix of many classes has, the largest
MAX_PICTURES = 6  # backbones, the first of the table; report.html has all
MAX_WRITTEN = 24  # classes whose cells have room for their figures
MAX_NAMED = 50  # classes that the axes name
MAX_LISTED = 15  # confusions of a backbone
MIXED_UP = (
    *words("Backbone", "True", "Taken for"),
    Column("Answers", fmt.whole),
    Column("Of the class", fmt.percent),
)


def section(findings: Findings) -> Section | None:
    """Return the matrices of all pretrained backbones that answered."""
    found = {n: findings.confusions[n] for n in findings.records if n in findings.confusions}
    if not found:
        return None
    classes = findings.run.dataset.classes
    scale = ", on a square-root scale" if len(classes) > MAX_WRITTEN else ""
    chart = Chart(
        "confusion",
        "Confusion matrix",
        tuple(_matrix(n, found[n], classes, len(findings.predictions[n])) for n in found),
        f"Rows are the true class, columns the answer. Shade: share of a row{scale}.",
        choice="Backbone",
        on_paper=MAX_PICTURES,
    )
    rows = tuple(row for label in found for row in _mixed_up(label, found[label], classes))
    blocks: list[Block] = [chart]
    if rows:
        blocks.append(Table("Most mixed up", MIXED_UP, rows, follows=chart.name))
    return Section("confusion", chart.title, "", blocks)


def _wrong(counts: Counts) -> Counts:
    """Return the places of the cells off the diagonal that have answers, the largest first."""
    off = counts.copy()
    np.fill_diagonal(off, 0)
    found = np.flatnonzero(off)
    return found[np.argsort(-off.flat[found], kind="stable")]


def _mixed_up(label: str, counts: Counts, classes: Sequence[str]) -> Iterator[tuple[Value, ...]]:
    """Yield the largest confusions of a backbone."""
    for place in _wrong(counts)[:MAX_LISTED].tolist():
        true, said = divmod(place, len(classes))
        count = int(counts[true, said])
        share = count / int(counts[true].sum())
        yield label, classes[true], classes[said], Answers(count, label, (true, said)), share


def _matrix(label: str, counts: Counts, classes: Sequence[str], seeds: int = 1) -> Panel:
    """Draw the matrix of one backbone; the shade is the share of a row."""
    number = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = f"{np.trace(counts):,} of {counts.sum():,} test images right"
    note = f"{right}, sum of {seeds} seeds." if seeds > 1 else f"{right}."
    if number > MAX_WRITTEN:
        # In any order where they are equal: by place, the last classes would have none.
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
    if classes <= 4:  # then there is room for zeros and a decimal
        return f"{count:,}\n{share:.1%}"
    return f"{count:,}\n{share:.0%}" if count else ""
