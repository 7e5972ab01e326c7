"""A comparison of two runs as sections: changed figures, figures that were not compared, and the
test images whose predictions changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.analysis import format as fmt
from bench.analysis.comparison import ChangedFigure, Comparison
from bench.analysis.metrics.base import METRICS
from bench.analysis.run_differences import ChangedPredictions
from bench.data import thumbnails
from bench.reports.blocks import (
    Block,
    Column,
    Formatted,
    Notes,
    Range,
    Section,
    Statement,
    Table,
    Value,
    limited_table,
    note_list,
    text_columns,
)
from bench.reports.charts import Axis, Chart, Mark, Panel, difference_panel
from bench.reports.galleries import ContactSheet, Gallery, Shot

MAX_SHOTS = 48
MAX_LISTED = 300
CHANGES = (
    Column("Backbone"),
    Column("Figure", importance=90),
    Column("Before", fmt.significant),
    Column("After", fmt.significant),
    Column("Change", fmt.significant, importance=80),
    Column("95% interval", fmt.significant, importance=60),
    Column("Result", importance=70),
)
COUNTS = (
    Column("Backbone"),
    Column("Now correct", fmt.whole, better="higher"),
    Column("Now wrong", fmt.whole, better="lower"),
    Column("Wrong, another class", fmt.whole),
)
_SHOW: dict[str, fmt.Show] = {
    "share": fmt.percent,
    "ms": fmt.milliseconds,
    "s": fmt.duration,
    "MB": fmt.megabytes,
    "images/s": fmt.significant,
    "parameters": fmt.count,
}


def sections(found: Comparison) -> list[Section]:
    """Return the summary, the changed figures and, if there are any, the changed predictions."""
    head = f"{found.before} → {found.after}"
    sentence = f"{head}, on {found.images:,} test images that both runs have"
    shown = [
        Section("overview", head, "", [Statement(sentence, _summary(found.changes))]),
        Section("changes", "Changes", "", [*_changes(found)]),
    ]
    if found.answers:
        shown.append(Section("answers", "Changed predictions", ABOUT, [*_predictions(found)]))
    return shown


ABOUT = (
    "Test images of both runs whose predicted class changed: the class with the highest mean "
    "probability over the seeds. Images that are now wrong come first."
)


def pictures(found: Comparison, before: Path, after: Path) -> dict[str, bytes]:
    """Return JPEG thumbnails of the images whose prediction changed, from either run's folder, by
    index in the test split of the second run."""
    kept, earlier = thumbnails.read_thumbnails(after), thumbnails.read_thumbnails(before)
    images = (image for one in found.answers for image in one.images)
    pairs = ((i.place, kept.get(i.place) or earlier.get(i.earlier)) for i in images)
    return {str(place): jpeg for place, jpeg in pairs if jpeg is not None}


def change_text(change: ChangedFigure) -> str:
    """Return a change as one line: before, after, difference and its interval."""
    ((label, figure, before, after, by, ends, _),) = Table("", CHANGES, (_row(change),)).texts
    interval = f" ({ends})" if _interval(change) else ""
    return f"{label}: {figure} {before} → {after}, {by}{interval}"


def _summary(changes: Sequence[ChangedFigure]) -> str:
    """Return sentences that name the figures that became better or worse."""
    parts = []
    for word in ("better", "likely better", "worse", "likely worse"):
        of = [f"{one.figure} of {one.label}" for one in changes if judgement(one) == word]
        parts += [f"{word.capitalize()}: {', '.join(of)}."] if of else []
    return " ".join(parts) or "No figure changed significantly."


def _changes(found: Comparison) -> Iterator[Block]:
    if found.changes:
        yield Table("Changes", CHANGES, tuple(map(_row, found.changes)))
    else:
        yield note_list(["Nothing can be compared."])
    if panels := tuple(_panels(found.changes)):
        yield Chart("changes", "What changed", panels, "Bars are 95% intervals.", choice="Figure")
    items = ((f"{n.label}, {', '.join(n.figures) or 'all'}", n.reason) for n in found.refused)
    yield Notes(tuple(items), "Not compared")
    items = ((c.field, f"{c.before} → {c.after}") for c in found.differing)
    yield Notes(tuple(items), "Other differences between the runs, possible causes")


def _panels(changes: Sequence[ChangedFigure]) -> Iterator[Panel]:
    """Yield a panel for each figure whose changes have intervals, with a row for each backbone."""
    for figure in dict.fromkeys(change.figure for change in changes):
        metric = METRICS[figure]
        found = [c for c in changes if c.figure == figure and c.low is not None]
        shares = metric.unit == "share"
        marks: dict[str, list[Mark]] = {"significant": [], "not significant": []}
        for row, change in enumerate(found):
            name = "significant" if change.is_significant else "not significant"
            marks[name].append(_mark(change, row, 100 if shares else 1))
        if found:
            unit = "percentage points" if shares else metric.unit
            axis = Axis(f"change of {metric.title}" + (f", {unit}" if unit else ""))
            panel = difference_panel(axis, [change.label for change in found], marks)
            yield replace(panel, title=metric.title.capitalize())


def _mark(change: ChangedFigure, row: int, scale: float) -> Mark:
    ends = (scale * (change.low or 0.0), scale * (change.high or 0.0))
    tip = (change_text(change).removeprefix(f"{change.label}: "), judgement(change))
    return Mark(scale * change.difference, row, change.label, tip, ends)


def _row(change: ChangedFigure) -> tuple[Value, ...]:
    show = _show(change)
    return (
        change.label,
        change.figure,
        Formatted(change.before, show),
        Formatted(change.after, show),
        Formatted(change.difference, partial(_difference, change)),
        _interval(change),
        judgement(change),
    )


def judgement(change: ChangedFigure) -> str:
    """Return what a change means, in a word or two; "" if that is not known."""
    if change.low is None:
        return "the same" if change.difference == 0 else ""
    if not change.is_significant:
        return "not significant"
    metric = METRICS[change.figure]
    if metric.better == "neither":
        return ""
    word = "better" if (change.difference > 0) == (metric.better == "higher") else "worse"
    # Timed in one process for each run: the interval does not cover how processes differ.
    return word if metric.kind == "answers" else f"likely {word}"


def _show(change: ChangedFigure) -> fmt.Show:
    return _SHOW.get(METRICS[change.figure].unit, fmt.decimals)


def _difference(change: ChangedFigure, value: float) -> str:
    if METRICS[change.figure].unit == "share":
        return f"{fmt.signed_points(value)} points"
    sign = "+" if value > 0 else "-" if value < 0 else ""
    return f"{sign}{_show(change)(abs(value))}"


def _interval(change: ChangedFigure) -> Formatted | None:
    if change.low is None or change.high is None:
        return None
    shares = METRICS[change.figure].unit == "share"
    show = fmt.signed_points if shares else partial(_difference, change)
    return Formatted(Range(change.low, change.high, change.difference), show)


def _predictions(found: Comparison) -> Iterator[Block]:
    rows = tuple(
        (one.label, one.now_correct, one.now_wrong, one.still_wrong) for one in found.answers
    )
    yield Table("Changed predictions", COUNTS, rows)
    sheets = tuple(_sheet(one, found.classes) for one in found.answers if one.images)
    if sheets:
        yield Gallery("changed_answers", "Pictures of the images", sheets, listed=True)
    listed = tuple(
        (one.label, image.id, *(found.classes[c] for c in (image.true, image.before, image.after)))
        for one in found.answers
        for image in one.images
    )
    columns = text_columns("Backbone", "Image", "Label", "Before", "After")
    table = Table("The images", columns, listed, folded=True)
    yield from limited_table(table, MAX_LISTED, "in `compare --json`")


def _sheet(one: ChangedPredictions, classes: Sequence[str]) -> ContactSheet:
    shots = tuple(
        Shot(
            image.place,
            f"{classes[image.before]} → {classes[image.after]}",
            f"label: {classes[image.true]}",
            image.id,
        )
        for image in one.images[:MAX_SHOTS]
    )
    return ContactSheet(shots, one.label, f"{len(one.images):,} images; before → after.")
