"""Embedding map: the test images in the feature space of a trained model, by class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.analysis import format as fmt
from bench.analysis.explanations import Explanations
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Counts, Floats
from bench.reports.blocks import Section
from bench.reports.charts import Axis, Chart, Mark, Panel, Points

PLACE = 18
MAX_BACKBONES = 6  # the first of the ranked table
COLOURS = (0, 1, 2, 5, 6, 7)  # of classes, in the palette; red is for wrong predictions
WRONG = 3
OTHERS = "other classes"
ABOUT = (
    "The first two principal components of each test image's features, scaled to length 1, in the "
    "trained model: images close to each other have similar features. A ring is a wrong "
    "prediction. Two components show only part of the variance: classes may overlap here and not "
    "be confused."
)
UMAP = (
    " The other map, by UMAP, keeps each image close to the most similar ones. It separates groups "
    "that overlap in two components, but the sizes of groups and their distances mean little."
)
NO_UMAP = " With `umap-learn` installed, a run also has a map by UMAP."


def section(findings: Findings) -> Section | None:
    """Return maps of the first backbones whose features were kept."""
    found = findings.explanations
    shown = list(found.items())[:MAX_BACKBONES]
    if not shown:
        return None
    panels = tuple(panel for label, one in shown for panel in _panels(findings, label, one))
    more, choice = (UMAP, "Map") if len(panels) > len(shown) else (NO_UMAP, "Backbone")
    few = (
        f" Only the first {MAX_BACKBONES} of the ranked table."
        if len(found) > MAX_BACKBONES
        else ""
    )
    title = "Map of the test images"
    chart = Chart("embedding", title, panels, choice=choice)
    return Section("embedding", title, f"{ABOUT}{more}{few}", [chart])


def _panels(findings: Findings, label: str, one: Explanations) -> Iterator[Panel]:
    """Yield the map by principal components, then the map by UMAP if there is one."""
    first, second = (
        Axis(f"{which} component, {fmt.percent(share)} of the variance")
        for which, share in zip(("first", "second"), one.map.shares, strict=True)
    )
    yield _panel(findings, label, one, one.map.places, (label, first, second))
    if one.map.umap is not None:
        axes = Axis("first dimension of UMAP"), Axis("second dimension of UMAP")
        yield _panel(findings, label, one, one.map.umap, (f"{label}, UMAP", *axes))


def _panel(
    findings: Findings, label: str, one: Explanations, places: Floats, named: tuple[str, Axis, Axis]
) -> Panel:
    classes, ids = findings.run.dataset.classes, findings.run.dataset.splits["test"].ids
    predictions = one.predictions
    true, right = predictions.labels[one.map.images], predictions.correct[one.map.images]

    def mark(point: int) -> Mark:
        x, y = (round(float(value), 4) for value in places[point])
        if right[point]:
            return Mark(x, y, size=0.0)
        image = one.map.images[point]
        true_class, predicted = predictions.labels[image], predictions.predicted[image]
        confidence = f"{fmt.percent(predictions.confidence[image])} confident"
        tip = f"{classes[true_class]} → {classes[predicted]}", confidence
        return Mark(x, y, ids[image], tip, size=0.0)

    coloured = dict(zip(most_mistaken(true, right), COLOURS, strict=False))
    others = ~np.isin(true, list(coloured))
    kinds: list[tuple[str, NDArray[np.bool_], int | None]] = [
        *((classes[name], true == name, colour) for name, colour in coloured.items()),
        (OTHERS, others, None),
    ]
    rings = tuple(Mark(*places[i].tolist()) for i in np.flatnonzero(~right))
    layers = [Points(rings, "wrong predictions", WRONG, hollow=True)]
    for drawn in (right, ~right):  # wrong predictions last, so that nothing covers them
        layers += [
            Points(tuple(map(mark, np.flatnonzero(members & drawn).tolist())), name, colour)
            for name, members, colour in kinds
        ]
    title, first, second = named
    note = f"Seed {one.record.trial.seed}, {len(true):,} of {len(ids):,} test images."
    filled = tuple(layer for layer in layers if layer.marks)
    return Panel(first, second, filled, title, label, note, height=0.6)


def most_mistaken(true: Counts, right: NDArray[np.bool_]) -> list[int]:
    """Return the indices of the classes with the most wrong predictions, in ascending order."""
    found, members = np.unique(true, return_inverse=True)
    wrong = np.bincount(members, ~right, minlength=len(found))
    return sorted(found[np.argsort(-wrong, kind="stable")[: len(COLOURS)]].tolist())
