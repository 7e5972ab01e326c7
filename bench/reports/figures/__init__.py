"""The pictures of a run and their paths; one kind of picture a file.

Importing this imports matplotlib, so the command line does it late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from matplotlib.figure import Figure

from bench.analysis.escape import file_names
from bench.analysis.findings import Findings
from bench.analysis.mistakes import shared
from bench.data import thumbnails
from bench.reports.figures import (
    calibration,
    confusion,
    curves,
    learning,
    mistake_sheets,
    robustness,
    style,
    tradeoff,
)

FOLDER = "figures"
MAX_BACKBONES = 6  # with pictures of their own, the first of the table; report.html has all
Kind = Literal[
    "tradeoff",
    "confusion",
    "curves",
    "learning",
    "calibration",
    "robustness",
    "mistakes",
    "suspects",
]


@dataclass(frozen=True)
class Picture:
    """A picture that a run has the figures for; drawn when its file is needed."""

    kind: Kind
    label: str  # of the backbone it is about, or "" for all of them
    path: str  # from the run's folder
    draw: Callable[[], Figure]

    def png(self) -> bytes:
        return style.png(self.draw())


def pictures(findings: Findings) -> tuple[Picture, ...]:
    """Return every picture that the measured figures allow."""
    found = []
    if len(tradeoff.drawable(findings)):
        path = f"{FOLDER}/accuracy_latency.png"
        found.append(Picture("tradeoff", "", path, partial(tradeoff.draw, findings)))
    if findings.guesses:
        path = f"{FOLDER}/calibration.png"
        found.append(Picture("calibration", "", path, partial(calibration.draw, findings)))
    if findings.robustness is not None:
        path = f"{FOLDER}/robustness.png"
        draw = partial(robustness.draw, findings.robustness)
        found.append(Picture("robustness", "", path, draw))
    if findings.learning is not None and findings.learning.points:
        path = f"{FOLDER}/learning_curves.png"
        found.append(Picture("learning", "", path, partial(learning.draw, findings.learning)))
    names = file_names(findings.records)
    for label, records in list(findings.records.items())[:MAX_BACKBONES]:
        ok = [record for record in records if record.status == "ok"]
        name = names[label]
        if label in findings.confusions:
            counts, classes = findings.confusions[label], findings.run.dataset.classes
            draw = partial(confusion.draw, label, counts, classes, len(ok))
            found.append(Picture("confusion", label, f"{FOLDER}/confusion_{name}.png", draw))
        trained = [record for record in ok if any(phase.epochs for phase in record.phases)]
        if trained:
            draw = partial(curves.draw, label, trained)
            found.append(Picture("curves", label, f"{FOLDER}/curves_{name}.png", draw))
    return (*found, *_sheets(findings, names))


def _sheets(findings: Findings, names: Mapping[str, str]) -> Iterator[Picture]:
    """Yield contact sheets of mistakes, if the run kept pictures of the images."""
    kept = thumbnails.read(findings.run.folder)
    if not kept:
        return
    dataset = findings.run.dataset
    for label, wrong in list(findings.mistakes.items())[:MAX_BACKBONES]:
        if wrong:
            draw = partial(mistake_sheets.of_backbone, label, wrong, dataset, kept)
            yield Picture("mistakes", label, f"{FOLDER}/mistakes_{names[label]}.png", draw)
    if suspects := shared(findings.mistakes):
        backbones = len(findings.mistakes)
        draw = partial(mistake_sheets.of_suspects, suspects, backbones, dataset, kept)
        yield Picture("suspects", "", f"{FOLDER}/label_suspects.png", draw)
