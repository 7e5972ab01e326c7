"""Calibration: whether confidence equals accuracy, as a table next to the reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.analysis.format import Show
from bench.analysis.metrics.calibration import BINS, MAX_STANDARD_ERROR, MIN_IMAGES
from bench.reports.figures import Picture
from bench.reports.markdown_parts import shown, table

COLUMNS: Sequence[tuple[str, str, Show]] = (
    ("Bal. acc.", "balanced_accuracy", fmt.percent),
    ("ROC-AUC", "roc_auc", fmt.four_decimals),
    ("Loss", "loss", fmt.decimals),
    ("Brier", "brier", fmt.four_decimals),
    ("ECE", "ece", fmt.percent),
    ("if exact", "ece_chance", fmt.percent),
    ("Temp.", "temperature", fmt.significant),
    ("Loss after", "scaled_loss", fmt.decimals),
    ("Brier after", "scaled_brier", fmt.four_decimals),
    ("ECE after", "scaled_ece", fmt.percent),
)


def text(findings: Findings, pictures: Sequence[Picture]) -> str:
    """Return a row for each pretrained backbone; means over the seeds."""
    rows = [
        [safe(str(row["label"])), *(_cell(show, row[name]) for _, name, show in COLUMNS)]
        for _, row in findings.backbones.iterrows()
        if row["label"] in findings.guesses
    ]
    if not rows:
        return ""
    titles = ["Backbone", *(title for title, _, _ in COLUMNS)]
    parts = ["## Calibration", table(titles, rows), _about(findings)]
    return "\n\n".join([*parts, *shown(pictures, "calibration", "")])


def _cell(show: Show, value: float) -> str:
    return fmt.MISSING if isnan(value) else show(value)


def _about(findings: Findings) -> str:
    images = len(findings.run.dataset.splits["validation"])
    over = "Means over seeds. " if findings.several_seeds else ""
    return (
        f"{over}All on the test images. ECE is the expected calibration error over {BINS} bins of "
        f"equal width of the predicted class' probability; exact probabilities would show about "
        f"the value under *if exact* on as many images. After: the logits divided by the "
        f"temperature that fits the {images:,} validation images best; no answer changes. "
        f"There is no temperature if validation is too small to fit one: fewer than "
        f"{MIN_IMAGES} images, no wrong answers, or a standard error above "
        f"{100 * MAX_STANDARD_ERROR:.0f}% of it."
    )
