"""What `run` and `report` show of a run that is at its end."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console

from bench import reports

if TYPE_CHECKING:
    from bench.analysis.findings import Findings
    from bench.reports.blocks import Section


def show_outcome(
    findings: Findings, shown: Iterable[Section], console: Console, *, in_browser: bool
) -> None:
    """Print the table and the recommendation, and open the run's page where that is wanted; where
    there is no browser, say where the page is."""
    reports.show(shown, console)
    if findings.faster is not None:
        console.print(findings.faster.text, style="bold")
    page = (findings.run.folder / "report.html").resolve()
    if in_browser and not webbrowser.open(page.as_uri()):
        errors = Console(stderr=True, highlight=False, markup=False)
        errors.print(f"No browser here; open {page}", soft_wrap=True)
