"""The test images behind each cell of the confusion matrices, which the page decodes on demand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Guesses
from bench.reports.html.blocks import Json, number, text
from bench.types import Split

PER_CELL = 36  # images that a cell shows at most, most confident first
PER_BACKBONE = 1500


def answers(findings: Findings) -> Json:
    """Return, by backbone and cell `true,predicted`: image, mean confidence, seeds."""
    split = findings.run.dataset.splits.get("test", Split((), ()))
    classes = len(findings.run.dataset.classes)
    backbones = {
        text(label): _cells(seeds, classes)
        for label, seeds in findings.guesses.items()
        if len(seeds[0].labels) == len(split)
    }
    images = {entry[0] for cells in backbones.values() for cell in cells.values() for entry in cell}
    return {"files": {i: text(split.ids[i]) for i in sorted(images)}, "backbones": backbones}


def _cells(
    guesses: Sequence[Guesses], classes: int
) -> dict[str, list[tuple[int, float | None, int]]]:
    labels = guesses[0].labels
    images = np.tile(np.arange(len(labels)), len(guesses))
    answers = images * classes + np.concatenate([one.predicted for one in guesses])
    codes, where, seeds = np.unique(answers, return_inverse=True, return_counts=True)
    sure = np.bincount(where, np.concatenate([one.confidence for one in guesses])) / seeds
    true, said = labels[codes // classes], codes % classes
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
