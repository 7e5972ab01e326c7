"""Calibration: whether the confidence of the predictions matches their accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.calibration import (
    BINS,
    MAX_STANDARD_ERROR,
    MIN_IMAGES,
    Bin,
    bin_sums,
    to_bins,
)
from bench.reports.blocks import Section, metric_column, metrics_table
from bench.reports.charts import Axis, Chart, Layer, Line, Mark, Panel, Points

PLACE = 20
NOTE = (
    "Predictions grouped by confidence; larger marks are more predictions. On the diagonal, "
    "accuracy equals confidence; below it, the backbone is overconfident."
)
FIGURES = (
    metric_column("balanced_accuracy", "Bal. acc.", fmt.percent),
    metric_column("roc_auc", "ROC-AUC", fmt.four_decimals),
    metric_column("loss", "Loss", fmt.decimals),
    metric_column("brier", "Brier", fmt.four_decimals),
    metric_column("ece", "ECE", fmt.percent, importance=90),
    metric_column("ece_chance", "if calibrated", fmt.percent),
    metric_column("temperature", "Temp.", fmt.significant),
    metric_column("scaled_loss", "Loss after", fmt.decimals),
    metric_column("scaled_brier", "Brier after", fmt.four_decimals),
    metric_column("scaled_ece", "ECE after", fmt.percent),
)


def section(findings: Findings) -> Section | None:
    """Return a row for each pretrained backbone, with means over the seeds."""
    table = findings.backbones[findings.backbones["label"].isin(list(findings.predictions))]
    if not len(table):
        return None
    classes = len(findings.run.dataset.classes)
    panels = tuple(_panel(findings, label, classes) for label in findings.predictions)
    figures = metrics_table("Calibration", FIGURES, (row for _, row in table.iterrows()))
    over = ", means over seeds" if findings.several_seeds else ""
    return Section(
        "calibration",
        "Calibration",
        f"Whether the predicted probabilities match the accuracy, on the test images{over}.",
        [
            replace(figures, about=_about(findings)),
            Chart("calibration", "Reliability diagrams", panels, NOTE),
        ],
    )


def _panel(findings: Findings, label: str, classes: int) -> Panel:
    """Draw accuracy against confidence, before and after temperature scaling; seeds are pooled."""
    seeds, after = findings.predictions[label], findings.scaled_bin_sums.get(label, ())
    before = [bin_sums(one.correct, one.confidence) for one in seeds]
    # The highest of n probabilities is at least 1/n.
    least = 0.5 if classes == 2 else 0.0
    quarters = tuple(np.linspace(0.0, 1.0, 5).tolist())
    layers: list[Layer] = [
        Line((least, 1.0), (least, 1.0), dashed=True),
        _points(to_bins(np.sum(before, axis=0)), len(seeds)),
    ]
    if len(after) == len(seeds):
        layers.append(_points(to_bins(np.sum(after, axis=0)), len(seeds), scaled=True))
    return Panel(
        Axis(
            "confidence",
            percent=True,
            low=least,
            high=1.0,
            ticks=tuple(t for t in quarters if t >= least),
        ),
        Axis("accuracy", percent=True, low=0.0, high=1.0, ticks=quarters),
        tuple(layers),
        label,
        about=label,
        height=1.0,
    )


def _points(found: Sequence[Bin], seeds: int, *, scaled: bool = False) -> Points:
    largest = max(one.images for one in found)
    marks = tuple(
        Mark(
            one.confidence,
            one.accuracy,
            f"{fmt.percent(one.accuracy)} correct",
            (f"mean confidence {fmt.percent(one.confidence)}", f"{one.images:,} predictions"),
            interval=None if scaled else one.interval(seeds),
            size=one.images / largest,
        )
        for one in found
    )
    if scaled:
        return Points(marks, "after temperature scaling", colour=1, hollow=True)
    return Points(marks, "before scaling, with 95% intervals")


def _about(findings: Findings) -> str:
    images = len(findings.run.dataset.splits["validation"])
    return (
        f"ECE is the expected calibration error over {BINS} bins of equal width of confidence; a "
        f"calibrated backbone would show about the value under “if calibrated” on as many images. "
        f"“After” is after temperature scaling: the logits are divided by the temperature that "
        f"fits the {images:,} validation images best; no predicted class changes. No temperature "
        f"is fitted if the validation set is too small: fewer than {MIN_IMAGES} images, no wrong "
        f"predictions, or a standard error above {100 * MAX_STANDARD_ERROR:.0f}% of the "
        f"temperature."
    )
