"""The pictures of a run, and where each is kept; one kind of picture a file.

Importing this costs matplotlib, so the command line does it late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from matplotlib.figure import Figure

from bench.report.escape import file_names
from bench.report.figures import confusion, curves, style, tradeoff
from bench.report.findings import Findings

FOLDER = "figures"
Kind = Literal["tradeoff", "confusion", "curves"]


@dataclass(frozen=True)
class Picture:
    """A picture that a run has the figures for; drawn when its file is asked for."""

    kind: Kind
    label: str  # of the backbone it is about, or "" for all of them
    path: str  # from the run's folder
    draw: Callable[[], Figure]

    def png(self) -> bytes:
        return style.png(self.draw())


def pictures(findings: Findings) -> tuple[Picture, ...]:
    """Every picture that can be drawn of what was measured."""
    found = []
    if len(tradeoff.drawable(findings)):
        path = f"{FOLDER}/accuracy_latency.png"
        found.append(Picture("tradeoff", "", path, partial(tradeoff.draw, findings)))
    names = file_names(findings.records)
    for label, records in findings.records.items():
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
    return tuple(found)
