"""Ensembles: what averaging the probabilities of several backbones gives, and what it costs."""

from __future__ import annotations

from dataclasses import replace

from bench.analysis import format as fmt
from bench.analysis.ensembles import MAX_MEMBERS, Ensemble, Ensembles, HeldOutResult
from bench.analysis.findings import Findings
from bench.reports.blocks import (
    Block,
    Column,
    Range,
    RowMark,
    Section,
    Table,
    Value,
    measured,
    not_listed,
)

PLACE = 11
FILE = "ensembles.csv"


def judged_columns(about: str) -> tuple[Column, ...]:
    """Return the columns of what the test images say of a model made from others, its accuracy and
    its lead; `about` says what the lead is over."""
    signed = fmt.signed_points
    return (
        Column("Accuracy", fmt.percent, name="accuracy", better="higher", importance=90),
        Column("95% interval", fmt.percent, name="accuracy", importance=70),
        Column("Lead", signed, name="lead", unit="points", better="higher", importance=90),
        Column("Its interval", signed, name="lead", unit="points", about=about, importance=80),
    )


COLUMNS = (
    Column("Ensemble", name="ensemble", importance=100),
    Column("Validation loss", fmt.four_decimals, name="val_loss", unit="nats", better="lower"),
    *judged_columns("95% interval of the lead"),
    measured("latency_p50_ms", "p50, sum", fmt.milliseconds, 75),
    Column("Params, sum", fmt.count, name="params", better="lower"),
)
CHOSEN = RowMark("chosen", "chosen", "the lowest validation loss: the one that the test judges")


def section(findings: Findings) -> Section | None:
    """Return the best ensembles by validation; nothing unless two backbones are compared."""
    found = findings.ensembles
    if found is None:
        return None
    marks = {1: CHOSEN} if found.chosen is not None else {}
    rows = (_row(found.best_single, alone=True), *map(_row, found.shown))
    table = Table("Ensembles, by validation loss", COLUMNS, rows, marks)
    every = replace(table, rows=(*rows, *map(_row, found.others)), marks={})
    blocks: list[Block] = [replace(table, about=_about(found, len(findings.verdict.seeds)))]
    blocks += not_listed(len(found.others), f"in `{FILE}`")
    return Section("ensembles", "Ensembles", _result(found), blocks, {FILE: every})


def _row(one: Ensemble, *, alone: bool = False) -> tuple[Value, ...]:
    label = f"{one.label} alone" if alone else one.label
    test = judged_cells(one.held_out, leads=not alone)
    return (label, one.val_loss, *test, one.latency_ms, one.params)


def _result(found: Ensembles) -> str:
    """Say what the one ensemble that validation chose gains on the test images."""
    best = found.best_single
    if found.chosen is None or found.chosen.held_out is None:
        loss = fmt.four_decimals(found.lowest_loss_single.val_loss)
        return (
            f"On the validation images no ensemble has a lower loss than "
            f"{found.lowest_loss_single.label} alone, {loss}."
        )
    judged = found.chosen.held_out
    ends = lead_ends(judged)
    lead = f"{fmt.signed_points(judged.lead)} points on {best.label} (95% interval {ends})"
    cost = f"{fmt.count(found.chosen.params)} parameters in place of {fmt.count(best.params)}"
    if found.chosen.latency_ms is not None and best.latency_ms is not None:
        times = map(fmt.milliseconds, (found.chosen.latency_ms, best.latency_ms))
        cost = f"{' in place of '.join(times)} at p50, {cost}"
    if found.better_than_best is not None:
        shown = "gains"
    elif judged.lead_high < 0:
        shown = "loses; its lead is"
    else:
        shown = "shows no significant gain:"
    return f"{found.chosen.label}, chosen on the validation images, {shown} {lead}, at {cost}."


def _about(found: Ensembles, seeds: int) -> str:
    count = len(found.shown) + len(found.others)
    each = "of the same seed" if seeds > 1 else "of one seed"
    return (
        f"The class probabilities of networks {each} are averaged, with equal weights. Of "
        f"{fmt.counted(count, 'ensemble')} (every pair, and greedily up to {MAX_MEMBERS}: from the "
        f"lowest loss on, what lowers it most) the validation loss chose one, and the test images "
        f"judge that one, once: the best of many on the test images would be best by chance. The "
        f"lead is over {found.best_single.label}, which the test images chose, in its favour. "
        f"Latencies are summed, as if one member ran after the other."
    )


def judged_cells(judged: HeldOutResult | None, *, leads: bool = True) -> tuple[Value, ...]:
    """Return their cells, empty where nothing was judged; without the lead of what others lead."""
    if judged is None:
        return (None,) * 4
    lead = (judged.lead, Range(judged.lead_low, judged.lead_high)) if leads else (None, None)
    return (judged.accuracy, Range(judged.low, judged.high), *lead)


def lead_ends(judged: HeldOutResult) -> str:
    """Return both ends of the lead's interval."""
    return f"{fmt.signed_points(judged.lead_low)} to {fmt.signed_points(judged.lead_high)}"
