"""Weight soups: the gain from averaging the weights of a backbone's seeds into one model."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.soups import WeightSoup
from bench.reports.blocks import Column, Section, Table, Value, metric_column
from bench.reports.sections.ensembles import held_out_cells, held_out_columns, lead_interval

PLACE = 11.5  # after the ensembles, which average probabilities
COLUMNS = (
    Column("Backbone", name="label", importance=100),
    Column("Seeds tried", name="tried", importance=40),
    Column("Averaged", name="averaged", importance=95),
    Column("Val. best seed", fmt.percent, name="val_best", better="higher", importance=50),
    Column("Val. soup", fmt.percent, name="val_accuracy", better="higher", importance=60),
    *held_out_columns("95% interval of the lead over the best seed"),
    metric_column("latency_p50_ms", "p50, one model", fmt.milliseconds, 75),
    Column("Averaging", fmt.duration, name="seconds", unit="s", importance=20),
)


def section(findings: Findings) -> Section | None:
    """Return a row for each backbone whose seeds were averaged."""
    found = findings.soups
    if not found:
        return None
    times = findings.backbones.set_index("label")["latency_p50_ms"]
    latencies = (float(times[one.label]) for one in found)
    rows = tuple(
        _row(one, None if isnan(latency) else latency)
        for one, latency in zip(found, latencies, strict=True)
    )
    table = Table("Weight soups", COLUMNS, rows, about=_about(findings))
    return Section("soups", "Weight soups", _result(found), [table], {"soups.csv": table})


def _row(one: WeightSoup, latency: float | None) -> tuple[Value, ...]:
    tried, averaged = _listed([each.seed for each in one.soup.tried]), _listed(one.seeds)
    alone = "" if one.held_out is not None else " alone"
    cells = held_out_cells(one.held_out)
    best = one.soup.tried[0].val_accuracy
    return (
        *(one.label, tried, averaged + alone, best, one.val_accuracy),
        *(*cells, latency, one.seconds),
    )


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _result(found: Sequence[WeightSoup]) -> str:
    """Return a sentence about the gain of averaging on the test images."""
    averaged = [one for one in found if one.held_out is not None]
    if not averaged:
        return "Averaging the weights of any two seeds lowers the validation accuracy."
    if gaining := [one.label for one in averaged if one.is_better]:
        return f"The averaged model is better than the best seed: {', '.join(gaining)}."
    leads = [
        f"{one.label} {fmt.signed_points(j.lead)} ({lead_interval(j)})"
        for one in averaged
        if (j := one.held_out) is not None
    ]
    return (
        f"No averaged model is shown to be better than the best seed of its backbone. Leads in "
        f"points, with 95% intervals: {'; '.join(leads)}."
    )


def _about(findings: Findings) -> str:
    trained = any(phase.batchnorm == "trained" for phase in findings.run.meta.protocol.phases)
    norms = (
        "Statistics of BatchNorm, which this protocol trains, are averaged like weights"
        if trained
        else "BatchNorm is frozen, so its statistics are the same in all seeds"
    )
    return (
        f"A weight soup is the mean of the weights of several seeds of a backbone: one model, as "
        f"fast and as large as one seed. In the order of validation accuracy, each seed is added "
        f"if the validation accuracy does not fall; only the result is judged on the test images. "
        f"The lead is over the seed with the best validation accuracy, on the same test images; "
        f"both are single models, so the interval covers images only. {norms}. `predict` and "
        f"`export` accept it as NAME@soup."
    )
