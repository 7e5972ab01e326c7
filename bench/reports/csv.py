"""`summary.csv`, one row a trial, and `per_class.csv`, one row a class of a backbone.

Figures have all their digits. No cell starts a spreadsheet formula.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.escape import csv_cell
from bench.analysis.findings import Findings
from bench.analysis.learning import LearningCurves, frame
from bench.analysis.metrics.classification import class_scores
from bench.analysis.robustness import CorruptedAccuracy
from bench.analysis.robustness import frame as robustness_frame
from bench.analysis.runtimes import RuntimeFigures
from bench.analysis.runtimes import frame as runtimes_frame


def summary(findings: Findings) -> str:
    """Return every metric of every trial, best first."""
    return _text(findings.with_standings(findings.trials))


def per_class(findings: Findings) -> str:
    """Return the scores of each class with each backbone, over the test answers of all seeds."""
    rows = [
        (label, name, score.precision, score.recall, score.f1, score.images)
        for label, confusion in findings.confusions.items()
        for name, score in zip(findings.run.dataset.classes, class_scores(confusion), strict=True)
    ]
    titles = ["label", "class", "precision", "recall", "f1", "images"]
    return _text(pd.DataFrame(rows, columns=titles))


def learning_curve(curves: LearningCurves) -> str:
    """Return accuracy of each pretrained backbone at each number of training images."""
    return _text(frame(curves))


def robustness(found: CorruptedAccuracy) -> str:
    """Return accuracy of each pretrained backbone under each corruption."""
    return _text(robustness_frame(found))


def runtimes(found: Sequence[RuntimeFigures]) -> str:
    """Return the figures of each runtime with each backbone."""
    return _text(runtimes_frame(found))


def _text(table: pd.DataFrame) -> str:
    table = table.copy()
    for name in table.select_dtypes(exclude="number"):
        table[name] = table[name].map(csv_cell)
    return table.to_csv(index=False, float_format="%.12g", lineterminator="\n")
