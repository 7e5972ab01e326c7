"""Calibration: whether confidence equals accuracy."""

from __future__ import annotations

from typing import Any

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.calibration import BINS, MAX_STANDARD_ERROR, MIN_IMAGES
from bench.analysis.seen import Seen
from bench.analysis.statistics import wilson
from bench.reports.blocks import Cell, Drawing, Section, Show, Table, figure, figures, words

PLACE = 20
FIGURES: tuple[tuple[str, str, Show], ...] = (
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


def section(findings: Findings) -> Section | None:
    """Return a row for each pretrained backbone; means over the seeds."""
    table = findings.backbones[findings.backbones["label"].isin(list(findings.guesses))]
    rows = tuple(
        (Cell(row["label"]), *(figure(row[name], show) for _, name, show in FIGURES))
        for _, row in table.iterrows()
    )
    if not rows:
        return None
    columns = (*words("Backbone"), *figures(*(title for title, _, _ in FIGURES)))
    backbones = [
        _diagram(label, one) for label, one in findings.seen.items() if label in findings.guesses
    ]
    return Section(
        "calibration",
        "Calibration",
        _about(findings),
        [
            Table("Calibration", columns, rows),
            Drawing("calibration", {"backbones": backbones}, pictures="calibration"),
        ],
    )


def _diagram(label: str, one: Seen) -> dict[str, Any]:
    count, sure, right = one.reliability
    ends = []
    for answers, share in zip(count, right, strict=True):
        # The seeds answered the same images: they are one sample of images, not several.
        images = max(1, round(answers / len(one.predicted)))
        ends.append(list(wilson(float(share) * images, images)) if answers else None)
    return {
        "label": label,
        "count": count.tolist(),
        "sure": sure.tolist(),
        "right": right.tolist(),
        "ends": ends,
    }


def _about(findings: Findings) -> str:
    images = len(findings.run.dataset.splits["validation"])
    over = "Means over seeds. " if findings.several_seeds else ""
    return (
        f"{over}All on the test images. ECE is the expected calibration error over {BINS} bins of "
        f"equal width of the predicted class' probability; exact probabilities would show about "
        f"the value under “if exact” on as many images. After: the logits divided by the "
        f"temperature that fits the {images:,} validation images best; no answer changes. "
        f"There is no temperature if validation is too small to fit one: fewer than "
        f"{MIN_IMAGES} images, no wrong answers, or a standard error above "
        f"{100 * MAX_STANDARD_ERROR:.0f}% of it."
    )
