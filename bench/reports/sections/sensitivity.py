"""The result of each learning rate of the budget, and whether the ranking depends on it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.analysis.format import Show
from bench.analysis.sensitivity import AtRate, Flip, LeadAtRate
from bench.reports.figures import Picture
from bench.reports.markdown_parts import table

MAX_FLIPS = 10
TITLES = ("Backbone", "Rate", "Chosen", "Val. loss", "Val. acc.", "Test acc. (held out)")


def text(findings: Findings, pictures: Sequence[Picture]) -> str:
    """Return a row for each backbone and rate; then the pairs whose order depends on the rate."""
    found = findings.sensitivity
    if found is None:
        return ""
    head = "## Learning rates"
    if not found.rates:
        return f"{head}\n\nNo pretrained backbone finished, so no rate is meaningful."
    rows = [
        [safe(label), *_cells(rate, len(findings.records[label]))]
        for label, rates in found.rates.items()
        for rate in rates
    ]
    parts = [head, table(TITLES, rows), _about(findings)]
    if found.at_the_edge:
        names = ", ".join(map(safe, found.at_the_edge))
        parts.append(
            f"The lowest or highest rate of the budget was chosen for {names}: a larger `--tune` "
            f"may find a better one."
        )
    if found.flips:
        lines = [f"- {_sentence(flip)}" for flip in found.flips[:MAX_FLIPS]]
        more = len(found.flips) - MAX_FLIPS
        lines += [f"- and {more} more pairs, by less"] if more > 0 else []
        parts += ["**The order changes with the rate**", "\n".join(lines)]
    elif len(found.rates) > 1:
        parts.append("No two backbones change their order between the rates of the budget.")
    return "\n\n".join(parts)


def multiple(multiplier: float) -> str:
    """Format a multiple: ×0.32."""
    return f"×{multiplier:.2g}"


def _cells(rate: AtRate, seeds: int) -> list[str]:
    notes = []
    if rate.chosen:
        notes.append("yes" if seeds == 1 else f"{rate.chosen} of {seeds}")
    if rate.diverged:
        notes.append("diverged" if seeds == 1 else f"{rate.diverged} of {seeds} diverged")
    return [
        multiple(rate.multiplier),
        ", ".join(notes),
        _shown(fmt.decimals, rate.val_loss),
        _shown(fmt.percent, rate.val_accuracy),
        _shown(fmt.percent, rate.test_accuracy),
    ]


def _shown(show: Show, value: float | None) -> str:
    return fmt.MISSING if value is None else show(value)


def _about(findings: Findings) -> str:
    seeds = " Means over seeds; each seed chooses its own rate." if findings.several_seeds else ""
    return (
        f"Every backbone had the same budget: the protocol's learning rates, all phases' at once, "
        f"times each of these. The lowest validation loss decides; ties go to the protocol's own "
        f"rate. The test set is held out.{seeds}"
    )


def _sentence(flip: Flip) -> str:
    first, second = safe(flip.first), safe(flip.second)
    certainty = "significant over all rates and pairs" if flip.significant else "not significant"
    return (
        f"{flip.split}: {first} is {_lead(flip.ahead)} ahead of {second} at "
        f"{multiple(flip.ahead.multiplier)} and {_lead(flip.behind)} behind at "
        f"{multiple(flip.behind.multiplier)} ({certainty})"
    )


def _lead(lead: LeadAtRate) -> str:
    return f"{100 * abs(lead.by):.2f} points"
