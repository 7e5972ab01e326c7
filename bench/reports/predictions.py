"""Predictions for new images, as a table or as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.analysis import format as fmt
from bench.inference.prediction import Prediction
from bench.reports import csv
from bench.reports.blocks import Column, Notes, Section, Table, Value, text_columns


@dataclass(frozen=True)
class Predictor:
    """The model that made the predictions, and how to read its confidence."""

    run: str
    backbone: str
    trial: str
    classes: tuple[str, ...]
    temperature: float | None  # None: the confidence is not calibrated
    min_confidence: float

    def is_low(self, one: Prediction) -> bool:
        return not one.reason and one.confidence < self.min_confidence


def section(predictions: Sequence[Prediction], source: Predictor, top: int = 1) -> Section:
    """Return a row for each image with its `top` classes and a mark for low confidence, then the
    images that could not be read."""
    columns = [Column("image", importance=100)]
    for place in range(top):
        columns.append(Column("class", importance=99 - place))
        columns.append(Column("confidence", fmt.percent, importance=99 - place))
    columns.append(Column("", importance=99))
    rows = (
        (one.image, *_ranked(one, source, top), "low" if source.is_low(one) else "")
        for one in predictions
    )
    table = Table("Predictions", tuple(columns), tuple(rows))
    failed = Notes(tuple((one.image, one.reason) for one in predictions if one.reason))
    return Section("predictions", "Predictions", "", [table, failed], brief=True)


def to_csv(predictions: Iterable[Prediction], source: Predictor, top: int = 1) -> str:
    """Return CSV with a row for each image, and columns for each of the `top` classes."""
    columns = [*text_columns("image", "class"), Column("confidence", fmt.percent)]
    columns += text_columns("low_confidence", "error")
    for place in range(2, top + 1):
        columns += [Column(f"class_{place}"), Column(f"confidence_{place}", fmt.percent)]
    rows: list[tuple[Value, ...]] = []
    for one in predictions:
        low = "" if one.reason else "yes" if source.is_low(one) else "no"
        best, confidence, *others = _ranked(one, source, top)
        rows.append((one.image, best, confidence, low, one.reason, *others))
    return csv.text(Table("Predictions", tuple(columns), tuple(rows)))


def _ranked(one: Prediction, source: Predictor, top: int) -> Sequence[Value]:
    """Return the `top` classes, each with its probability; empty cells for an unreadable image."""
    if one.reason:
        return [None] * 2 * top
    classes = one.ranked[:top]
    return [cell for n in classes for cell in (source.classes[n], one.probabilities[n])]


def summary(predictions: Sequence[Prediction], source: Predictor) -> list[str]:
    """Return sentences about predictions with low confidence and unreadable images."""
    low = sum(map(source.is_low, predictions))
    failed = sum(bool(one.reason) for one in predictions)
    sentences = []
    if low:
        sentences.append(
            f"{low} of {len(predictions) - failed} predictions have a confidence below "
            f"{fmt.percent(source.min_confidence)}: check them."
        )
    if failed:
        sentences.append(f"{failed} of {len(predictions)} images could not be read.")
    return sentences
