"""Parts of the sections of `report.md`: tables, and links to pictures."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from bench.analysis.escape import markdown as safe
from bench.reports.figures import Picture

TITLES = {
    "tradeoff": "Accuracy against latency",
    "confusion": "Confusion matrix",
    "curves": "Curves",
    "learning": "Learning curves",
    "calibration": "Reliability diagrams",
    "mistakes": "Most confident mistakes",
    "robustness": "Accuracy on corrupted images",
    "suspects": "Images that every backbone gets wrong",
}


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return a pipe table; figures to the right, the columns `left` to the left."""
    aligned = ["left" if index in left else "right" for index in range(len(titles))]
    return tabulate(rows, titles, tablefmt="pipe", colalign=aligned, disable_numparse=True)


def shown(pictures: Sequence[Picture], kind: str, label: str) -> list[str]:
    """Return links to the pictures of one kind, of one backbone or (`""`) of all."""
    return [
        f"![{TITLES[kind]}{' of ' + safe(label) if label else ''}]({picture.path})"
        for picture in pictures
        if picture.kind == kind and picture.label == label
    ]
