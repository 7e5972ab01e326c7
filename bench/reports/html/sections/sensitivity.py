"""The result of each learning rate of the budget, and whether the order depends on it."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.sensitivity import AtRate, Flip
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, cell, table, text

MAX_FLIPS = 10
TITLES = ("Backbone", "Rate", "Chosen by", "Val. loss", "Val. acc.", "Test acc.")
ABOUT = (
    "Every backbone had the same budget: the protocol's learning rates, all phases' at once, times "
    "each of these. The lowest validation loss decides; the test set is held out."
)


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    found = findings.sensitivity
    if found is None or not found.rates:
        return None
    rows = [
        [text(label), *_cells(rate, len(findings.records[label]))]
        for label, rates in found.rates.items()
        for rate in rates
    ]
    notes = [_sentence(flip) for flip in found.flips[:MAX_FLIPS]]
    if found.at_the_edge:
        names = ", ".join(map(text, found.at_the_edge))
        notes.append(f"The lowest or highest rate of the budget was chosen for {names}.")
    return {"about": ABOUT, "table": table(TITLES, rows, left=(0,)), "notes": notes}


def _cells(rate: AtRate, seeds: int) -> list[Json]:
    notes = [f"{rate.chosen} of {seeds} seeds"] if rate.chosen else []
    notes += [f"{rate.diverged} diverged"] if rate.diverged else []
    return [
        cell(f"×{rate.multiplier:.2g}", rate.multiplier),
        cell(", ".join(notes)),
        cell(fmt.MISSING if rate.val_loss is None else fmt.decimals(rate.val_loss), rate.val_loss),
        _share(rate.val_accuracy),
        _share(rate.test_accuracy),
    ]


def _share(value: float | None) -> Json:
    return cell(fmt.MISSING if value is None else fmt.percent(value), value)


def _sentence(flip: Flip) -> str:
    certainty = "significant over all rates and pairs" if flip.significant else "not significant"
    return (
        f"The order changes with the rate ({flip.split}): {text(flip.first)} is "
        f"{100 * flip.ahead.by:.2f} points ahead of {text(flip.second)} at "
        f"×{flip.ahead.multiplier:.2g} and {-100 * flip.behind.by:.2f} behind at "
        f"×{flip.behind.multiplier:.2g}; {certainty}."
    )
