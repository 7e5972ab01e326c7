"""Predictions for new images, as a table to read or as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.analysis import format as fmt
from bench.inference.prediction import Prediction
from bench.reports import csv
from bench.reports.blocks import Block, Column, Notes, Section, Table, Value, words


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


def section(answers: Sequence[Prediction], source: Predictor, top: int = 1) -> Section:
    """Return a row an image with its `top` classes, and why some have none; answers below the
    confidence limit are marked."""
    columns = [Column("image", importance=100)]
    for place in range(top):
        columns.append(Column("class", importance=99 - place))
        columns.append(Column("confidence", fmt.percent, importance=99 - place))
    columns.append(Column("", importance=99))
    rows = (
        (answer.image, *_ranked(answer, source, top), "low" if source.is_low(answer) else "")
        for answer in answers
    )
    blocks: list[Block] = [Table("Predictions", tuple(columns), tuple(rows))]
    if failed := tuple((answer.image, answer.reason) for answer in answers if answer.reason):
        blocks.append(Notes(failed))
    return Section("predictions", "Predictions", "", blocks, brief=True)


def to_csv(answers: Iterable[Prediction], source: Predictor, top: int = 1) -> str:
    """Return a row an image, with columns for each of the `top` classes."""
    columns = [*words("image", "class"), Column("confidence", fmt.percent)]
    columns += words("low_confidence", "error")
    for place in range(2, top + 1):
        columns += [Column(f"class_{place}"), Column(f"confidence_{place}", fmt.percent)]
    rows: list[tuple[Value, ...]] = []
    for answer in answers:
        low = "" if answer.reason else "yes" if source.is_low(answer) else "no"
        best, sure, *others = _ranked(answer, source, top)
        rows.append((answer.image, best, sure, low, answer.reason, *others))
    return csv.text(Table("Predictions", tuple(columns), tuple(rows)))


def _ranked(answer: Prediction, source: Predictor, top: int) -> Sequence[Value]:
    """Return the `top` classes, each before its probability; nothing of an unreadable image."""
    if answer.reason:
        return [None] * 2 * top
    places = answer.ranked[:top]
    return [one for n in places for one in (source.classes[n], answer.probabilities[n])]


def summary(answers: Sequence[Prediction], source: Predictor) -> list[str]:
    """Say what a reader must know beyond the table."""
    low = sum(map(source.is_low, answers))
    failed = sum(bool(answer.reason) for answer in answers)
    found = []
    if low:
        found.append(
            f"{low} of {len(answers) - failed} answers came with less than "
            f"{fmt.percent(source.min_confidence)} confidence: check them."
        )
    if failed:
        found.append(f"{failed} of {len(answers)} images could not be read.")
    return found
