"""Confusion matrix, and the images behind each cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Counts, class_scores
from bench.analysis.seen import Seen
from bench.reports.html.values import Json, number, numbers, text
from bench.types import Record, Split

PER_CELL = 36  # images that a cell shows at most, most confident first
PER_BACKBONE = 1500
MAX_CONFUSIONS = 10_000  # cells off the diagonal that a backbone has in the page


def data(findings: Findings) -> Json | None:
    if not findings.confusions:
        return None
    found = findings.confusions
    return {
        "classes": [text(name) for name in findings.run.dataset.classes],
        "backbones": [
            _backbone(label, found[label], findings.records[label])
            for label in findings.records
            if label in found
        ],
    }


def _backbone(label: str, counts: Counts, records: Sequence[Record]) -> Json:
    """Return the non-empty cells, as row, column, count, row, column, ...: with a thousand classes
    nearly all are empty. Right answers first, then the largest of the others."""
    rows, columns = np.nonzero(counts)
    order = np.lexsort((-counts[rows, columns], rows != columns))
    rows, columns = rows[order], columns[order]
    kept = min(len(order), int((rows == columns).sum()) + MAX_CONFUSIONS)
    cells = np.stack([rows, columns, counts[rows, columns]], axis=1)[:kept]
    return {
        "label": text(label),
        "seeds": sum(record.status == "ok" for record in records),
        "cells": cells.ravel().tolist(),
        "left_out": len(order) - kept,
        # Of each class: precision, recall, F1, and the number of answers on its images.
        "scores": [
            [*numbers((s.precision, s.recall, s.f1), 6), s.images] for s in class_scores(counts)
        ],
    }


def answers(findings: Findings) -> Json:
    """Return, by backbone and cell `true,predicted`: image, mean confidence, seeds."""
    split = findings.run.dataset.splits.get("test", Split((), ()))
    classes = len(findings.run.dataset.classes)
    backbones = {
        text(label): _cells(one, classes)
        for label, one in findings.seen.items()
        if one.predicted and len(one.labels) == len(split)
    }
    images = {entry[0] for cells in backbones.values() for cell in cells.values() for entry in cell}
    return {"files": {i: text(split.ids[i]) for i in sorted(images)}, "backbones": backbones}


def _cells(one: Seen, classes: int) -> dict[str, list[tuple[int, float | None, int]]]:
    images = np.tile(np.arange(len(one.labels)), len(one.predicted))
    answers = images * classes + np.concatenate(one.predicted)
    codes, where, seeds = np.unique(answers, return_inverse=True, return_counts=True)
    sure = np.bincount(where, np.concatenate(one.confidence)) / seeds
    true, said = one.labels[codes // classes], codes % classes
    cells: dict[str, list[tuple[int, float | None, int]]] = {}
    taken = 0
    # Mistakes first, most confident first: they are what a reader looks for.
    for place in np.lexsort((-sure, true == said)):
        if taken == PER_BACKBONE:
            break
        found = cells.setdefault(f"{true[place]},{said[place]}", [])
        if len(found) < PER_CELL:
            found.append((int(codes[place] // classes), number(sure[place], 3), int(seeds[place])))
            taken += 1
    return cells
