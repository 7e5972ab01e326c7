"""Learning curves: accuracy by the number of training images."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.learning import BestAtSize, LearningCurves, Point
from bench.reports.blocks import (
    Block,
    Column,
    Estimate,
    Notes,
    Section,
    Table,
    figure_columns,
    note_list,
)
from bench.reports.charts import Axis, Chart, Mark, Panel, limit_note, line_layers

PLACE = 50


def section(findings: Findings) -> Section | None:
    """Return a row for each backbone and a column for each size, and the best backbone at each
    size."""
    found = findings.learning
    if found is None:
        return None
    blocks: list[Block] = []
    about = "No pretrained backbone finished, so there is no meaningful curve."
    if found.points:
        about = _about(findings)
        blocks.append(_chart(found))
        blocks.append(note_list(_sentence(best, findings.margin) for best in found.best))
        blocks.append(_table(found))
    failed = tuple(
        (record.trial.title, record.reason)
        for record in findings.run.subset_records
        if record.status == "failed"
    )
    blocks.append(Notes(failed, "Failed"))
    files = {"learning_curve.csv": _file(found)} if found.points else {}
    return Section("learning", "Learning curves", about, blocks, files)


def _table(found: LearningCurves) -> Table:
    titles = (f"{images:,} images" for images in found.sizes)
    rows = []
    for label, points in found.points.items():
        at = {point.images: _estimate(point) for point in points}
        rows.append((label, *map(at.get, found.sizes)))
    columns = (Column("Backbone"), *figure_columns(fmt.percent, *titles))
    return Table("Accuracy by the number of training images", columns, tuple(rows))


def _file(found: LearningCurves) -> Table:
    """Return `learning_curve.csv`: a row for each backbone and size."""
    columns = (
        Column("label"),
        Column("fraction", fmt.significant),
        *figure_columns(fmt.whole, "train_images", "seeds"),
        Column("accuracy", fmt.percent),
    )
    rows = tuple(
        (label, point.fraction, point.images, point.seeds, _estimate(point))
        for label, points in found.points.items()
        for point in points
    )
    return Table("Learning curves", columns, rows)


def _estimate(point: Point) -> Estimate:
    return Estimate(point.accuracy, point.low, point.high)


def _chart(found: LearningCurves) -> Chart:
    marks = {n: [_mark(n, point) for point in points] for n, points in found.points.items()}
    x = Axis("training images (logarithmic)", log=True, ticks=tuple(map(float, found.sizes)))
    panel = Panel(x, Axis("test accuracy", percent=True), line_layers(marks))
    note = f"Bars are 95% intervals, shifted so that they do not overlap.{limit_note(len(marks))}"
    return Chart("learning_curves", "Learning curves", (panel,), note)


def _mark(label: str, point: Point) -> Mark:
    accuracy = fmt.with_interval(point.accuracy, point.low, point.high)
    tip = f"{point.images:,} images", accuracy
    return Mark(point.images, point.accuracy, label, tip, (point.low, point.high))


def _about(findings: Findings) -> str:
    over = "means over seeds, with" if findings.several_seeds else "with"
    what = "test images and seeds" if findings.several_seeds else "test images"
    return (
        f"Test accuracy by the number of training images, {over} 95% intervals over {what}. "
        f"Each smaller set keeps the class proportions, is a subset of the larger ones, and is "
        f"drawn again for each seed. All validation and test images are used. The number of epochs "
        f"is the same, so fewer images also mean fewer steps."
    )


def _sentence(best: BestAtSize, margin: float) -> str:
    line = f"With {best.images:,} images: {best.label} is best, {fmt.percent(best.accuracy)}"
    if best.within:
        line += f"; within {fmt.points(margin)}: {', '.join(best.within)}"
    if best.undecided:
        line += f"; undecided: {', '.join(best.undecided)}"
    if not best.within and not best.undecided:
        line += "; all others are worse"
    return f"{line}."
