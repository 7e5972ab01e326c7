"""The content of the page, one section a file, in the order of the page.

`data(findings, seen)` is JSON for the file of the same name in `static/`, or `None` if the run has
nothing for the section.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.analysis.findings import Findings
from bench.reports.html.evidence import Seen
from bench.reports.html.sections import (
    audit,
    calibration,
    certainty,
    confusion,
    costs,
    curves,
    latency,
    leaderboard,
    learning,
    left_out,
    mistakes,
    phases,
    reproduction,
    robustness,
    runtimes,
    sensitivity,
    times,
    tradeoff,
)
from bench.reports.html.values import Json

Section = Callable[[Findings, Mapping[str, Seen]], Json | None]

SECTIONS: Mapping[str, Section] = {
    "leaderboard": leaderboard.data,
    "certainty": certainty.data,
    "tradeoff": tradeoff.data,
    "confusion": confusion.data,
    "mistakes": mistakes.data,
    "calibration": calibration.data,
    "audit": audit.data,
    "curves": curves.data,
    "phases": phases.data,
    "learning": learning.data,
    "sensitivity": sensitivity.data,
    "robustness": robustness.data,
    "latency": latency.data,
    "runtimes": runtimes.data,
    "costs": costs.data,
    "times": times.data,
    "left_out": left_out.data,
    "reproduction": reproduction.data,
}
