"""Columns and cells of what the test images say of a model made from others: its accuracy and its
lead, as ensembles and weight soups show them."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.ensembles import Judgement
from bench.reports.blocks import Column, Range, Value


def columns(about: str) -> tuple[Column, ...]:
    """Return the columns; `about` says what the lead is over."""
    signed = fmt.signed_points
    return (
        Column("Accuracy", fmt.percent, name="accuracy", better="higher", importance=90),
        Column("95% interval", fmt.percent, name="accuracy", importance=70),
        Column("Lead", signed, name="lead", unit="points", better="higher", importance=90),
        Column("Its interval", signed, name="lead", unit="points", about=about, importance=80),
    )


def cells(judged: Judgement | None, *, leads: bool = True) -> tuple[Value, ...]:
    """Return the cells, empty where nothing was judged; without the lead of what others lead."""
    if judged is None:
        return (None,) * 4
    lead = (judged.lead, Range(judged.lead_low, judged.lead_high)) if leads else (None, None)
    return (judged.accuracy, Range(judged.low, judged.high), *lead)


def lead_ends(judged: Judgement) -> str:
    """Return both ends of the lead's interval."""
    return f"{fmt.signed_points(judged.lead_low)} to {fmt.signed_points(judged.lead_high)}"
