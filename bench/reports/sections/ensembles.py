"""Ensembles: the gain from averaging the probabilities of several backbones, and its cost."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.ensembles import MAX_MEMBERS, Ensemble, Ensembles, HeldOutResult
from bench.analysis.findings import Findings
from bench.reports.blocks import (
    Column,
    Range,
    RowMark,
    Section,
    Table,
    Value,
    limited_table,
    metric_column,
)

PLACE = 11
FILE = "ensembles.csv"


def held_out_columns(about: str) -> tuple[Column, ...]:
    """Return the columns of the test accuracy of a combined model and of its lead; `about` explains
    the interval of the lead."""
    signed = fmt.signed_points
    return (
        Column("Accuracy", fmt.percent, name="accuracy", better="higher", importance=90),
        Column("95% interval", fmt.percent, name="accuracy", importance=70),
        Column("Lead", signed, name="lead", unit="points", better="higher", importance=90),
        Column("Lead interval", signed, name="lead", unit="points", about=about, importance=80),
    )


COLUMNS = (
    Column("Ensemble", name="ensemble", importance=100),
    Column("Validation loss", fmt.four_decimals, name="val_loss", unit="nats", better="lower"),
    *held_out_columns("95% interval of the lead"),
    metric_column("latency_p50_ms", "p50, sum", fmt.milliseconds, 75),
    Column("Params, sum", fmt.count, name="params", better="lower"),
)
CHOSEN = RowMark(
    "chosen", "chosen", "the lowest validation loss: the one to judge on the test images"
)


def section(findings: Findings) -> Section | None:
    """Return the best ensembles by validation loss; `None` if fewer than two backbones finished."""
    found = findings.ensembles
    if found is None:
        return None
    marks = {1: CHOSEN} if found.chosen is not None else {}
    rows = (_row(found.best_single, alone=True), *map(_row, (*found.shown, *found.others)))
    about = _about(found, len(findings.verdict.seeds))
    table = Table("Ensembles, by validation loss", COLUMNS, rows, marks, about=about)
    blocks = limited_table(table, 1 + len(found.shown), f"in `{FILE}`")
    return Section("ensembles", "Ensembles", _result(found), blocks, {FILE: table})


def _row(one: Ensemble, *, alone: bool = False) -> tuple[Value, ...]:
    label = f"{one.label} alone" if alone else one.label
    cells = held_out_cells(one.held_out, leads=not alone)
    return (label, one.val_loss, *cells, one.latency_ms, one.params)


def _result(found: Ensembles) -> str:
    """Return a sentence about the gain of the ensemble chosen on the validation images."""
    best = found.best_single
    if found.chosen is None or found.chosen.held_out is None:
        lowest = found.lowest_loss_single
        loss = fmt.four_decimals(lowest.val_loss)
        return f"No ensemble has a lower validation loss than {lowest.label} alone, {loss}."
    held_out = found.chosen.held_out
    ends = lead_interval(held_out)
    lead = f"{fmt.signed_points(held_out.lead)} points over {best.label} (95% interval {ends})"
    cost = f"{fmt.count(found.chosen.params)} parameters instead of {fmt.count(best.params)}"
    if found.chosen.latency_ms is not None and best.latency_ms is not None:
        times = map(fmt.milliseconds, (found.chosen.latency_ms, best.latency_ms))
        cost = f"{' instead of '.join(times)} at p50, {cost}"
    if found.better_than_best is not None:
        shown = "gains"
    elif held_out.lead_high < 0:
        shown = "loses; its lead is"
    else:
        shown = "shows no significant gain:"
    return f"{found.chosen.label}, chosen on the validation images, {shown} {lead}, at {cost}."


def _about(found: Ensembles, seeds: int) -> str:
    count = len(found.shown) + len(found.others)
    each = "of the same seed" if seeds > 1 else "of one seed"
    return (
        f"An ensemble averages the class probabilities of networks {each}, with equal weights. Of "
        f"{fmt.quantity(count, 'ensemble')} (all pairs, and up to {MAX_MEMBERS} members, each "
        f"added because it lowers the validation loss most), only the one with the lowest "
        f"validation loss is judged: the best of many on the test images would be best by chance. "
        f"The lead is over {found.best_single.label}, the best on the test images, which favours "
        f"it. Latencies are summed, as if the members ran one after the other."
    )


def held_out_cells(held_out: HeldOutResult | None, *, leads: bool = True) -> tuple[Value, ...]:
    """Return the cells of `held_out_columns`; empty without a result, or the lead if not
    `leads`."""
    if held_out is None:
        return (None,) * 4
    lead = (held_out.lead, Range(held_out.lead_low, held_out.lead_high)) if leads else (None, None)
    return (held_out.accuracy, Range(held_out.low, held_out.high), *lead)


def lead_interval(held_out: HeldOutResult) -> str:
    """Return the interval of the lead as text."""
    return f"{fmt.signed_points(held_out.lead_low)} to {fmt.signed_points(held_out.lead_high)}"
