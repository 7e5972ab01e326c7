"""Calibration: whether confidence equals accuracy."""

from __future__ import annotations

from typing import Any

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.calibration import BINS, MAX_STANDARD_ERROR, MIN_IMAGES
from bench.analysis.seen import Seen
from bench.analysis.statistics import wilson
from bench.reports.blocks import Column, Drawing, Section, Table, measured

PLACE = 20
FIGURES = (
    ("balanced_accuracy", "Bal. acc.", fmt.percent),
    ("roc_auc", "ROC-AUC", fmt.four_decimals),
    ("loss", "Loss", fmt.decimals),
    ("brier", "Brier", fmt.four_decimals),
    ("ece", "ECE", fmt.percent),
    ("ece_chance", "if exact", fmt.percent),
    ("temperature", "Temp.", fmt.significant),
    ("scaled_loss", "Loss after", fmt.decimals),
    ("scaled_brier", "Brier after", fmt.four_decimals),
    ("scaled_ece", "ECE after", fmt.percent),
)


def section(findings: Findings) -> Section | None:
    """Return a row for each pretrained backbone; means over the seeds."""
    table = findings.backbones[findings.backbones["label"].isin(list(findings.guesses))]
    rows = tuple(
        (row["label"], *(row[name] for name, _, _ in FIGURES)) for _, row in table.iterrows()
    )
    if not rows:
        return None
    columns = (Column("Backbone"), *(measured(*one) for one in FIGURES))
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
