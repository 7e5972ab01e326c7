"""Learning curves: accuracy against the number of training images, and the best at each size."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.learning import LearningCurves, Point
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, cell, numbers, table, text
from bench.reports.sections.learning import sentence


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    found = findings.learning
    if found is None or not found.points:
        return None
    return {
        "curves": [
            {"label": text(label), "points": [_point(point) for point in points]}
            for label, points in found.points.items()
        ],
        "about": (
            f"Test accuracy by the number of training images, with 95% intervals over "
            f"{'test images and seeds' if findings.several_seeds else 'test images'}. The "
            f"number of epochs is the same, so fewer images also mean fewer steps."
        ),
        "best": [sentence(best, findings.margin, text) for best in found.best],
        "table": _table(found),
    }


def _point(point: Point) -> Json:
    return {
        "images": point.images,
        "accuracy": numbers((point.low, point.accuracy, point.high), 6),
        "text": _words(point),
    }


def _words(point: Point) -> str:
    return f"{fmt.percent(point.accuracy)} ({fmt.interval(point.low, point.high)})"


def _table(found: LearningCurves) -> Json:
    titles = ["Backbone", *(f"{images:,} images" for images in found.sizes)]
    rows = []
    for label, points in found.points.items():
        at = {point.images: cell(_words(point), point.accuracy) for point in points}
        rows.append([text(label), *(at.get(n, cell(fmt.MISSING)) for n in found.sizes)])
    return table(titles, rows, left=(0,))
