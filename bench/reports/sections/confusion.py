"""Confusion matrices, and the images behind each cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.analysis import format as fmt
from bench.analysis.escape import file_names
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Counts, class_scores
from bench.reports.blocks import Column, Drawing, Section, Table, Value, words
from bench.reports.charts import Axis, Cells, Chart, Panel
from bench.types import Record

PLACE = 14
MAX_CONFUSIONS = 10_000  # cells off the diagonal that a backbone has in the page
MAX_CHARTS = 6  # backbones, the first of the table, with a picture; report.html has all
MAX_WRITTEN = 20  # classes whose cells show their number of images
MAX_NAMED = 50  # classes that the axes name
MAX_LISTED = 12  # confusions of a backbone
MIXED_UP = (
    *words("Backbone", "True", "Taken for"),
    Column("Answers", fmt.whole),
    Column("Of the class", fmt.percent),
)
FEW = 4  # classes whose cells have room for a share, too


def section(findings: Findings) -> Section | None:
    """Return the matrices of all pretrained backbones that answered."""
    found = findings.confusions
    if not found:
        return None
    classes = findings.run.dataset.classes
    labels = [label for label in findings.records if label in found]
    data = {
        "classes": classes,
        "backbones": [_backbone(n, found[n], findings.records[n]) for n in labels],
    }
    names = file_names(findings.records)
    shown = labels[:MAX_CHARTS]
    elsewhere: list[Chart | Table] = [_matrix(n, names[n], found[n], classes) for n in shown]
    if len(classes) > MAX_WRITTEN:
        rows = tuple(row for label in shown for row in _mixed_up(label, found[label], classes))
        elsewhere.append(Table("Most mixed up", MIXED_UP, rows))
    drawing = Drawing("confusion", data, tuple(elsewhere))
    return Section("confusion", "Confusion matrix", "", [drawing])


def _mixed_up(label: str, counts: Counts, classes: tuple[str, ...]) -> Iterator[tuple[Value, ...]]:
    """Yield the largest confusions of a backbone, which a matrix of many classes does not show."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    for place in np.argsort(-wrong, axis=None, kind="stable")[:MAX_LISTED]:
        true, said = divmod(int(place), len(classes))
        if answers := int(wrong[true, said]):
            share = answers / int(counts[true].sum())
            yield label, classes[true], classes[said], answers, share


def _backbone(label: str, counts: Counts, records: Sequence[Record]) -> dict[str, Any]:
    """Return the non-empty cells, as row, column, count, row, column, ...: with a thousand classes
    nearly all are empty. Right answers first, then the largest of the others."""
    rows, columns = np.nonzero(counts)
    order = np.lexsort((-counts[rows, columns], rows != columns))
    rows, columns = rows[order], columns[order]
    kept = min(len(order), int((rows == columns).sum()) + MAX_CONFUSIONS)
    cells = np.stack([rows, columns, counts[rows, columns]], axis=1)[:kept]
    return {
        "label": label,
        "seeds": sum(record.status == "ok" for record in records),
        "cells": cells.ravel().tolist(),
        "left_out": len(order) - kept,
        # Of each class: precision, recall, F1, and the number of answers on its images.
        "scores": [[s.precision, s.recall, s.f1, s.images] for s in class_scores(counts)],
    }


def _matrix(label: str, name: str, counts: Counts, classes: tuple[str, ...]) -> Chart:
    """Draw the matrix of one backbone; the shade is the share of a row."""
    number = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few, many = number <= FEW, number > MAX_WRITTEN
    texts = [
        [
            f"{n:,}\n{share:.1%}" if few else f"{n:,}" if n else ""
            for n, share in zip(*row, strict=True)
        ]
        for row in zip(counts, shares, strict=True)
    ]
    names = classes if number <= MAX_NAMED else ("",) * number
    cells = Cells(
        # Rare mistakes among many classes would be invisible on a linear scale.
        np.sqrt(shares) if many else shares,
        () if many else texts,
    )
    scale = ", on a square-root scale" if many else ""
    note = (
        f"{np.trace(counts):,} of {counts.sum():,} test images right. Shade: share of a row{scale}."
    )
    panel = Panel(Axis("predicted", names=names), Axis("true", names=names), (cells,))
    return Chart(f"confusion_{name}", f"Confusion matrix of {label}", (panel,), note)
