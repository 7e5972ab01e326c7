"""Screening: which backbones were dropped, in which round, on what evidence and at what cost."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.scores import random_init_label
from bench.analysis.screening import (
    BIAS,
    MARGIN,
    MIN_KEPT,
    Round,
    ScreenedBackbone,
    Screening,
    load_screening,
    rank_correlation,
)
from bench.reports.blocks import (
    Column,
    Range,
    Section,
    Statement,
    Table,
    Value,
    figure_columns,
    text_columns,
)

PLACE = 15
JUDGED = {"probes": "training images, cross-validated", "head": "validation images"}
OUTCOMES = {
    "goes on": "went on",
    "evidence": "dropped on evidence",
    "budget": "over the budget",
    "failed": "failed: {reason}",
}
ROUNDS = (
    *text_columns("Round", "Judged on"),
    *figure_columns(fmt.whole, "Images", "Entered", "Dropped", "Over budget", "Failed", "Went on"),
    Column("Time", fmt.duration),
    Column("Best dropped", fmt.percent, about="estimated probability"),
    Column("Best over budget", fmt.percent, about="estimated probability"),
    Column("Rank correlation", fmt.decimals, about="with the test accuracy of full runs"),
)


def section(findings: Findings) -> Section | None:
    """Return the rounds and a row for each backbone; `None` for a run without screening."""
    found = load_screening(findings.run.folder)
    if found is None:
        return None
    table = findings.backbones
    final = dict(zip(table["label"], table["accuracy"], strict=True))
    rounds = Table("Rounds", ROUNDS, tuple(_round(one, final) for one in found.rounds))
    backbones = Table("Backbones screened", _columns(found), _rows(found), folded=True)
    about = (
        f"A round keeps every backbone whose 95% interval, paired by image, reaches within "
        f"{fmt.points(MARGIN)} of the best, and at least {MIN_KEPT}. The chance that it dropped "
        f"the best is estimated from the images and from how far the accuracies of a round are "
        f"from the final ones: {fmt.points(BIAS['probes'])} (standard deviation) for the probes, "
        f"{fmt.points(BIAS['head'])} for the head, which gives the rank correlations observed on "
        f"one data set. Backbones with random weights are dropped only to keep within the budget, "
        f"the cheapest last."
    )
    files = {"screening.csv": backbones}
    return Section("screening", "Screening", about, [_statement(found), rounds, backbones], files)


def _statement(found: Screening) -> Statement:
    entered = {one.name for each in found.rounds for one in each.candidates}
    count = len(entered) + len(found.unaffordable)
    left = found.rounds[-1].remaining
    spent = sum(each.seconds for each in found.rounds)
    sentence = (
        f"{len(left)} of {fmt.quantity(count, 'backbone')} were run in full. Choosing them took "
        f"{fmt.duration(spent)}; running all was estimated at {fmt.estimate(found.whole_seconds)}."
    )
    chance = found.dropped_best
    if chance is None:
        certainty = (
            "No weights are pretrained: backbones were dropped only for the budget, by times."
        )
    else:
        certainty = f"The chance that the best was left out is estimated at {chance:.0%}."
    if found.unaffordable:
        certainty += f" Not probed, because of the budget: {', '.join(found.unaffordable)}."
    return Statement(sentence, certainty)


def _round(one: Round, final: Mapping[str, float]) -> tuple[Value, ...]:
    outcomes = [candidate.outcome for candidate in one.candidates]
    return (
        one.name,
        JUDGED[one.name],
        one.images,
        len(outcomes),
        *(outcomes.count(kind) for kind in ("evidence", "budget", "failed", "goes on")),
        one.seconds,
        one.dropped_best,
        one.unaffordable_best,
        rank_correlation(one, final),
    )


def _columns(found: Screening) -> tuple[Column, ...]:
    columns = [Column("Backbone", importance=100)]
    for one in found.rounds:
        name = one.name.capitalize()
        columns += [
            Column(f"{name} acc.", fmt.percent, f"{one.name}_accuracy", importance=60),
            Column("Behind", fmt.signed_points, f"{one.name}_behind", importance=20),
            Column("95% interval", fmt.signed_points, f"{one.name}_behind", importance=50),
        ]
    return (*columns, Column("Time", fmt.duration, importance=10), Column("Outcome", importance=90))


def _rows(found: Screening) -> tuple[tuple[Value, ...], ...]:
    """Return a row for each backbone, those that reached the latest round first."""
    by_round = [{one.name: one for one in each.candidates} for each in found.rounds]
    names = dict.fromkeys(name for each in reversed(by_round) for name in each)
    rows = []
    for name in names:
        seen = [each.get(name) for each in by_round]
        last = [one for one in seen if one is not None][-1]
        cells = [cell for one in seen for cell in _figures(one)]
        seconds = sum(one.seconds for one in seen if one is not None)
        label = name if last.pretrained else random_init_label(name)
        outcome = OUTCOMES[last.outcome].format(reason=last.reason)
        rows.append((label, *cells, seconds, outcome))
    return tuple(rows)


def _figures(one: ScreenedBackbone | None) -> tuple[Value, Value, Value]:
    if one is None or one.behind is None or one.low is None or one.high is None:
        return None, None, None
    return one.accuracy, one.behind, Range(one.low, one.high)
