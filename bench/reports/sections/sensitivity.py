"""Learning rates: the result of each one tried, and whether the ranking depends on it."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.sensitivity import Flip, LeadAtRate, RateFigures
from bench.reports.blocks import (
    Block,
    Column,
    Notes,
    Section,
    Table,
    Value,
    figure_columns,
    limited_notes,
    note_list,
)

PLACE = 60
MAX_FLIPS = 10
COLUMNS = (
    Column("Backbone"),
    Column("Rate", fmt.multiple),
    Column("Chosen"),
    Column("Val. loss", fmt.decimals),
    *figure_columns(fmt.percent, "Val. acc.", "Test acc. (held out)"),
)


def section(findings: Findings) -> Section | None:
    """Return a row for each backbone and rate, and the pairs whose order depends on the rate."""
    found = findings.sensitivity
    if found is None:
        return None
    name, title = "sensitivity", "Learning rates"
    if not found.rates:
        about = "No pretrained backbone finished, so no result is meaningful."
        return Section(name, title, about)
    rows = tuple(
        _row(label, rate, len(findings.records[label]))
        for label, rates in found.rates.items()
        for rate in rates
    )
    blocks: list[Block] = [Table("Learning rates", COLUMNS, rows)]
    what = "the lowest or highest rate tried was chosen; a larger --tune may find a better one"
    blocks.append(Notes(tuple((label, what) for label in found.at_the_edge)))
    flips = [("", _sentence(flip)) for flip in found.flips]
    heading = "The order changes with the rate"
    blocks.append(limited_notes(flips, MAX_FLIPS, "by smaller leads", heading))
    if not flips and len(found.rates) > 1:
        blocks.append(note_list(["No two backbones change their order between the rates."]))
    return Section(name, title, _about(findings), blocks)


def _row(label: str, rate: RateFigures, seeds: int) -> tuple[Value, ...]:
    chosen = []
    if rate.chosen:
        chosen.append("yes" if seeds == 1 else f"{rate.chosen} of {seeds}")
    if rate.diverged:
        chosen.append("diverged" if seeds == 1 else f"{rate.diverged} of {seeds} diverged")
    found = rate.val_loss, rate.val_accuracy, rate.test_accuracy
    return label, rate.multiplier, ", ".join(chosen), *found


def _about(findings: Findings) -> str:
    seeds = " Means over seeds; each seed chooses its own rate." if findings.several_seeds else ""
    return (
        f"Every backbone had the same budget: the protocol's learning rates, in all phases at "
        f"once, multiplied by each of these factors. The lowest validation loss decides; ties go "
        f"to the protocol's own rate. The test set is held out.{seeds}"
    )


def _sentence(flip: Flip) -> str:
    certainty = "significant over all rates and pairs" if flip.significant else "not significant"
    return (
        f"{flip.split}: {flip.first} is {_lead(flip.ahead)} ahead of {flip.second} at "
        f"{fmt.multiple(flip.ahead.multiplier)} and {_lead(flip.behind)} behind at "
        f"{fmt.multiple(flip.behind.multiplier)} ({certainty})"
    )


def _lead(lead: LeadAtRate) -> str:
    return f"{100 * abs(lead.by):.2f} points"
