"""Predictions for new images, as a table, as CSV or as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from bench.analysis import format as fmt
from bench.analysis.escape import csv_cell, one_line, shorten
from bench.inference.prediction import Prediction
from bench.system.files import to_json

SCHEMA = 1


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


def to_text(answers: Iterable[Prediction], source: Predictor) -> str:
    """Return a table to read; answers below the confidence limit are marked."""
    rows = []
    for answer in answers:
        image = shorten(one_line(answer.image), 120)
        if answer.reason:
            rows.append((image, fmt.MISSING, fmt.MISSING, one_line(answer.reason)))
        else:
            name = shorten(one_line(source.classes[answer.label]), 60)
            mark = "low" if source.is_low(answer) else ""
            rows.append((image, name, fmt.percent(answer.confidence), mark))
    titles = ("image", "class", "confidence", "")
    aligned = ("left", "left", "right", "left")
    table = tabulate(rows, titles, tablefmt="plain", colalign=aligned, disable_numparse=True)
    return f"{table}\n"


def to_csv(answers: Iterable[Prediction], source: Predictor) -> str:
    """Return one row an image; no cell starts a spreadsheet formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "class", "confidence", "low_confidence", "error"])
    for answer in answers:
        image = csv_cell(answer.image)
        if answer.reason:
            writer.writerow([image, "", "", "", csv_cell(answer.reason)])
        else:
            low = "yes" if source.is_low(answer) else "no"
            name = csv_cell(source.classes[answer.label])
            writer.writerow([image, name, f"{answer.confidence:.6f}", low, ""])
    return out.getvalue()


def to_json_text(answers: Iterable[Prediction], source: Predictor) -> str:
    """Return everything, with the probability of every class in the order of `classes`."""
    content = {
        "schema": SCHEMA,
        "run": source.run,
        "backbone": source.backbone,
        "trial": source.trial,
        "classes": list(source.classes),
        "temperature": source.temperature,
        "min_confidence": source.min_confidence,
        "images": [_entry(answer, source) for answer in answers],
    }
    return to_json(content, indent=2) + "\n"


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


def _entry(answer: Prediction, source: Predictor) -> dict[str, object]:
    if answer.reason:
        return {"image": answer.image, "error": answer.reason}
    return {
        "image": answer.image,
        "class": source.classes[answer.label],
        "confidence": answer.confidence,
        "low_confidence": source.is_low(answer),
        "probabilities": list(answer.probabilities),
    }
