"""The cells of a contact sheet of mistakes, and their captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from bench.analysis.mistakes import MAX_PER_BACKBONE, MAX_SHARED, Mistake, Suspect
from bench.reports.figures import sheet
from bench.reports.figures.sheet import Cell
from bench.types import Dataset

Thumbnails = Mapping[int, bytes]


def of_backbone(
    label: str, mistakes: Sequence[Mistake], dataset: Dataset, thumbnails: Thumbnails
) -> Figure:
    """Draw the most confident mistakes of one backbone."""
    shown = mistakes[:MAX_PER_BACKBONE]
    about = (
        f"{_counted(len(shown), len(mistakes))} test images it gets wrong, most confident first: "
        f"label, answer, file"
    )
    cells = [_cell(m, m.confidence, dataset, thumbnails) for m in shown]
    return sheet.draw(f"Mistakes of {label}", about, cells)


def of_suspects(
    suspects: Sequence[Suspect], backbones: int, dataset: Dataset, thumbnails: Thumbnails
) -> Figure:
    """Draw the images that all backbones get wrong."""
    shown = suspects[:MAX_SHARED]
    about = (
        f"{_counted(len(shown), len(suspects))} test images, most confident first: label, answer "
        f"and its mean probability, file"
    )
    cells = [_cell(s, s.confidence / backbones, dataset, thumbnails) for s in shown]
    return sheet.draw(f"What all {backbones} backbones get wrong", about, cells)


def _cell(
    wrong: Mistake | Suspect, confidence: float, dataset: Dataset, thumbnails: Thumbnails
) -> Cell:
    return Cell(
        jpeg=thumbnails.get(wrong.image),
        true=dataset.classes[wrong.true],
        alarm=f"{confidence:.1%} {dataset.classes[wrong.predicted]}",
        name=dataset.splits["test"].ids[wrong.image],
    )


def _counted(shown: int, there: int) -> str:
    return f"{shown} of {there:,}" if shown < there else f"{there}"
