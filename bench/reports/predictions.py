"""Predictions for new images, as a table or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from bench.analysis import format as fmt
from bench.analysis.escape import csv_cell, one_line, shorten
from bench.inference.prediction import Prediction


@dataclass(frozen=True)
class Predictor:
    """The model that made the predictions, and how to read its confidence."""

    run: str
    backbone: str
    trial: str
    classes: tuple[str, ...]
    temperature: float | None  # None: the confidence is what the network gave, not calibrated
    min_confidence: float

    def is_low(self, answer: Prediction) -> bool:
        return not answer.reason and answer.confidence < self.min_confidence


def to_text(answers: Iterable[Prediction], source: Predictor, top: int = 1) -> str:
    """Return a table to read, with the `top` classes; answers below the confidence limit are
    marked."""
    rows = []
    for answer in answers:
        image = shorten(one_line(answer.image), 120)
        if answer.reason:
            rows.append((image, *[fmt.MISSING] * 2 * top, one_line(answer.reason)))
        else:
            mark = "low" if source.is_low(answer) else ""
            cells = [
                cell
                for label in answer.ranked[:top]
                for cell in (
                    shorten(one_line(source.classes[label]), 60),
                    fmt.percent(answer.probabilities[label]),
                )
            ]
            rows.append((image, *cells, mark))
    titles = ("image", *("class", "confidence") * top, "")
    aligned = ("left", *("left", "right") * top, "left")
    table = tabulate(rows, titles, tablefmt="plain", colalign=aligned, disable_numparse=True)
    return f"{table}\n"


def to_csv(answers: Iterable[Prediction], source: Predictor, top: int = 1) -> str:
    """Return one row an image, with columns for each of the `top` classes; no cell starts a
    spreadsheet formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    more = [f"{title}_{n}" for n in range(2, top + 1) for title in ("class", "confidence")]
    writer.writerow(["image", "class", "confidence", "low_confidence", "error", *more])
    for answer in answers:
        image = csv_cell(answer.image)
        if answer.reason:
            writer.writerow([image, "", "", "", csv_cell(answer.reason), *[""] * len(more)])
        else:
            low = "yes" if source.is_low(answer) else "no"
            (name, confidence), *others = (
                (csv_cell(source.classes[label]), f"{answer.probabilities[label]:.6f}")
                for label in answer.ranked[:top]
            )
            cells = [cell for other in others for cell in other]
            writer.writerow([image, name, confidence, low, "", *cells])
    return out.getvalue()


def summary(answers: Sequence[Prediction], source: Predictor) -> list[str]:
    """Say what a reader must know beyond the table."""
    low = sum(map(source.is_low, answers))
    failed = sum(bool(answer.reason) for answer in answers)
    found = []
    if low:
        found.append(
            f"{low} of {len(answers)} answers came with less than "
            f"{fmt.percent(source.min_confidence)} confidence: check them."
        )
    if failed:
        found.append(f"{failed} of {len(answers)} images could not be read.")
    return found
