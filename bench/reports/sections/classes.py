"""Precision, recall and F1 of each class with each backbone."""

from __future__ import annotations

from itertools import chain
from math import isnan

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import class_scores
from bench.analysis.mistakes import ClassRecall, class_recall
from bench.reports.blocks import Block, Column, Section, Table
from bench.reports.charts import Axis, Chart, Panel, accuracy_cells

PLACE = 15
MAX_GROUPED = 20  # classes; of more, only the worst are listed
MAX_ROWS = 1000
MAX_OPEN = 24  # rows; a page collapses a longer table
COLUMNS = (
    Column("Backbone", name="label"),
    Column("Class", name="class"),
    Column("Precision", fmt.percent, "precision", better="higher", shaded=True),
    Column("Recall", fmt.percent, "recall", better="higher", shaded=True),
    Column("F1", fmt.percent, "f1", better="higher", importance=60, shaded=True),
    Column("Images", fmt.whole, "images"),
)


def section(findings: Findings) -> Section:
    """Return a row for each class and backbone. Of many classes, only those with the lowest F1 are
    listed, the worst of each backbone first."""
    classes = findings.run.dataset.classes
    by_label = {
        label: [
            (label, name, one.precision, one.recall, one.f1, one.images)
            for name, one in zip(classes, class_scores(counts), strict=True)
        ]
        for label, counts in findings.confusions.items()
    }
    every = tuple(row for rows in by_label.values() for row in rows)
    files = {"per_class.csv": Table("Scores of each class", COLUMNS, every)}
    if not every:
        return Section("classes", "Classes", "", (), files)
    about = "Computed over the test predictions of all seeds." if findings.several_seeds else ""
    shown = every
    if len(classes) > MAX_GROUPED:
        # A class without images has no F1 and goes last.
        most = max(MAX_GROUPED, MAX_ROWS // len(by_label))
        worst = (
            sorted(rows, key=lambda row: 2.0 if isnan(row[4]) else row[4])[:most]
            for rows in by_label.values()
        )
        shown = tuple(chain.from_iterable(zip(*worst, strict=True)))
        about += " Classes with the lowest F1 come first; `per_class.csv` has all classes."
    title = "Precision, recall and F1 of each class"
    table = Table(title, COLUMNS, shown, folded=len(shown) > MAX_OPEN, about=about.strip())
    blocks: list[Block] = [table]
    if recall := class_recall(findings.confusions):
        blocks.insert(0, _recall(recall, classes))
    return Section("classes", "Classes", "", blocks, files)


def _recall(found: ClassRecall, classes: tuple[str, ...]) -> Chart:
    """Draw the recall of each class with each backbone, the hardest class first."""
    panel = Panel(
        Axis(names=found.labels),
        Axis(names=tuple(classes[index] for index in found.classes)),
        (accuracy_cells(found.recall, found.labels),),
    )
    note = "Images of a class that are classified correctly, in percent; hardest class first."
    if len(found.classes) < len(classes):
        few = f"{len(found.classes)} of {len(classes):,} classes"
        note += f" Only the {few} on which the backbones differ most."
    return Chart("class_recall", "Recall of each class", (panel,), note)
