"""Which classes a backbone takes for which, and the images behind each cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.metrics.classification import class_scores
from bench.report import format as fmt
from bench.report.findings import Findings
from bench.report.html.evidence import Seen
from bench.report.html.values import Json, cell, number, table, text
from bench.types import Split

PER_CELL = 36  # images that a cell shows at most, the surest answers first
PER_BACKBONE = 1500


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    if not findings.confusions:
        return None
    classes = findings.run.dataset.classes
    found = findings.confusions
    in_order = [(label, found[label]) for label in findings.records if label in found]
    backbones = [
        {
            "label": text(label),
            "seeds": sum(r.status == "ok" for r in findings.records[label]),
            "counts": counts.tolist(),
            "scores": table(
                ["Class", "Precision", "Recall", "F1", "Images"],
                [
                    [
                        text(name),
                        *(
                            cell(fmt.MISSING if np.isnan(v) else fmt.percent(v), v)
                            for v in (s.precision, s.recall, s.f1)
                        ),
                        cell(f"{s.images:,}", s.images),
                    ]
                    for name, s in zip(classes, class_scores(counts), strict=True)
                ],
                left=(0,),
            ),
        }
        for label, counts in in_order
    ]
    return {"classes": [text(name) for name in classes], "backbones": backbones}


def answers(findings: Findings, seen: Mapping[str, Seen]) -> Json:
    """By backbone and cell `true,predicted`: image, mean confidence, and how many seeds said so."""
    split = findings.run.dataset.splits.get("test", Split((), ()))
    classes = len(findings.run.dataset.classes)
    backbones = {
        text(label): _cells(one, classes)
        for label, one in seen.items()
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
    # Mistakes first, the surest of them leading: they are what a reader looks for.
    for place in np.lexsort((-sure, true == said)):
        found = cells.setdefault(f"{true[place]},{said[place]}", [])
        if taken < PER_BACKBONE and len(found) < PER_CELL:
            found.append((int(codes[place] // classes), number(sure[place], 3), int(seeds[place])))
            taken += 1
    return cells
