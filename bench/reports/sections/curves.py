"""Training curves: loss and accuracy of each epoch, with a line for each seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from bench.analysis.findings import Findings
from bench.reports.blocks import Section
from bench.reports.charts import Axis, Chart, Line, Mark, Panel, Points, Span
from bench.types import PhaseResult, Record

PLACE = 30
ABOUT = (
    "Loss and accuracy by epoch, one line for each seed. A ring marks the epoch whose weights were "
    "kept."
)
Placed = Sequence[tuple[PhaseResult, int]]  # phases, each with the number of epochs before it


def section(findings: Findings) -> Section | None:
    """Return the curves of every trained backbone, with all seeds in one panel."""
    panels: list[Panel] = []
    for label, records in findings.records.items():
        trained = [r for r in records if r.status == "ok" and any(p.epochs for p in r.phases)]
        if trained:
            pretrained = all(r.pretrained for r in trained)
            shown = ("loss", "accuracy") if pretrained else ("loss",)
            panels += map(partial(_panel, label, trained), shown)
    if not panels:
        return None
    return Section("curves", "Training", ABOUT, [Chart("curves", "Training", tuple(panels))])


def phase_starts(records: Sequence[Record]) -> list[int]:
    """Return the number of epochs before each phase, then the total. They are the same for every
    seed: a seed that stopped early leaves a gap."""
    found = [0]
    for index in range(max(len(record.phases) for record in records)):
        lengths = [len(r.phases[index].epochs) for r in records if index < len(r.phases)]
        found.append(found[-1] + max(lengths))
    return found


def _panel(label: str, records: Sequence[Record], what: str) -> Panel:
    at = phase_starts(records)
    placed = [p for record in records for p in zip(record.phases, at, strict=False)]
    longest = max(records, key=lambda record: len(record.phases))
    kept = tuple(
        Mark(start + phase.best_epoch, getattr(phase.kept, what), size=0.04)
        for phase, start in placed
        if phase.kept is not None
    )
    share = what == "accuracy"
    return Panel(
        Axis("epoch", whole=True, low=0.5, high=at[-1] + 0.5),
        Axis(what, percent=share, low=None if share else 0.0),
        (
            _line(placed, what, "training", 0),
            _line(placed, f"val_{what}", "validation", 1),
            Points(kept, "kept", colour=1, hollow=True),
        ),
        label,
        about=label,
        height=0.5,
        spans=tuple(
            Span(start + 0.5, end + 0.5, phase.name)
            for phase, start, end in zip(longest.phases, at, at[1:], strict=False)
        ),
    )


def _line(placed: Placed, what: str, name: str, colour: int) -> Line:
    """Return all phases of all seeds as a single line with breaks."""
    points = [point for phase, start in placed for point in _points(phase, start, what)]
    return Line(
        tuple(x for x, _ in points), tuple(y for _, y in points), name, colour, dashed=colour > 0
    )


def _points(
    phase: PhaseResult, start: int, what: str
) -> Iterator[tuple[float | None, float | None]]:
    for number, epoch in enumerate(phase.epochs, 1):
        yield start + number, getattr(epoch, what)
    yield None, None
