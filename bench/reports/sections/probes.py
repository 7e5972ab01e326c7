"""Probes: the gain of training over simple classifiers on the frozen features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.gains import ProbeComparison, probe_comparisons
from bench.reports.blocks import (
    Block,
    Column,
    Estimate,
    Notes,
    Range,
    Section,
    Table,
    Value,
    figure_columns,
    text_columns,
)
from bench.reports.charts import Axis, Chart, Mark, Panel, Points
from bench.types import Record

PLACE = 41
TITLES = {"knn_accuracy": "k-NN", "logistic_accuracy": "Logistic"}
APART = 0.2  # distance between the marks of a backbone, in rows


def section(findings: Findings) -> Section | None:
    """Return a row for each pretrained backbone; `None` if no probe was fitted."""
    found = probe_comparisons(findings)
    if not found:
        return None
    phases = findings.run.meta.protocol.phases
    head = {"head_accuracy": f"After {phases[0].name}"} if len(phases) > 1 else {}
    named = TITLES | head | {"accuracy": f"After {phases[-1].name}"}
    columns = (
        Column("Backbone"),
        *(
            Column(title, fmt.percent, name=name, importance=30 if name in head else 60)
            for name, title in named.items()
        ),
        Column("Gain", fmt.signed_points, importance=80),
        Column("95% interval", fmt.signed_points, importance=70),
        Column("Training", importance=50),
        Column("Best probe", importance=20),
    )
    blocks: list[Block] = [
        Table("Probes and training", columns, tuple(_row(one, named) for one in found)),
        _chart(found, named),
    ]
    missing = [label for label in findings.records if label not in {one.label for one in found}]
    why = tuple((label, _why(findings.records[label])) for label in missing)
    blocks.append(Notes(why, "No probes"))
    return Section(
        "probes", "Probes", _about(findings), blocks, {"probes.csv": _file(found, named)}
    )


def _about(findings: Findings) -> str:
    return (
        f"Test accuracy of two classifiers on the pooled features of the frozen network, k nearest "
        f"neighbours and a logistic regression, next to that of the trained "
        f"model{', means over seeds' * findings.several_seeds}. Gain is the lead of the trained "
        f"model over the probe that was better on the validation images, in points, on the same "
        f"test images: training helped or hurt only if the interval excludes zero. `probes.csv` "
        f"has an interval for each accuracy."
    )


def _why(records: Sequence[Record]) -> str:
    if all(record.status == "failed" for record in records):
        return "failed"
    pretrained = any(record.pretrained for record in records)
    return "not fitted for every seed" if pretrained else "no pretrained weights"


def _row(one: ProbeComparison, named: Mapping[str, str]) -> tuple[Value, ...]:
    found = (one.accuracies.get(name) for name in named)
    gained = Range(one.gain.low, one.gain.high)
    shares = (None if accuracy is None else accuracy.value for accuracy in found)
    return (one.label, *shares, one.gain.change, gained, one.gain.word, TITLES[one.best])


def _chart(found: Sequence[ProbeComparison], named: Mapping[str, str]) -> Chart:
    """Draw the accuracies of each backbone in one row, above each other."""
    layers = []
    for place, (name, title) in enumerate(named.items()):
        marks = []
        for row, one in enumerate(found):
            if accuracy := one.accuracies.get(name):
                ends = accuracy.low, accuracy.high
                tip = f"{title}: {fmt.with_interval(accuracy.value, *ends)}"
                y = row + APART * (place - (len(named) - 1) / 2)
                marks.append(Mark(accuracy.value, y, one.label, (tip,), ends))
        layers.append(Points(tuple(marks), title, place, hollow=name in TITLES))
    names = tuple(one.label for one in found)
    panel = Panel(Axis("test accuracy", percent=True), Axis(names=names), tuple(layers))
    return Chart("probes", "Probes and training", (panel,), "Bars are 95% intervals.")


def _file(found: Sequence[ProbeComparison], named: Mapping[str, str]) -> Table:
    """Return `probes.csv`: each accuracy and the gain, with their intervals."""
    columns = (
        Column("label"),
        *figure_columns(fmt.percent, *named),
        Column("gain", fmt.signed_points),
        *text_columns("training", "best_probe"),
    )
    rows: list[tuple[Value, ...]] = []
    for one in found:
        accuracies = (one.accuracies.get(name) for name in named)
        shares = (None if a is None else Estimate(a.value, a.low, a.high) for a in accuracies)
        gained = Estimate(one.gain.change, one.gain.low, one.gain.high)
        rows.append((one.label, *shares, gained, one.gain.word, one.best))
    return Table("Probes and training", columns, tuple(rows))
