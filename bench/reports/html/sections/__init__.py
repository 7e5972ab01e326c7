"""Parts of the page that only it has, each drawn by the file of its name in `static/`.

`data(findings)` is JSON for that file, or `None` if the run has nothing for it. What is made of
blocks is in `bench/reports/sections` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.analysis.findings import Findings
from bench.reports.html.sections import confusion, tradeoff
from bench.reports.html.values import Json

OWN: Mapping[str, tuple[float, Callable[[Findings], Json | None]]] = {
    "tradeoff": (12, tradeoff.data),
    "confusion": (14, confusion.data),
}
"""Their places among the sections of blocks, and what they hold."""
