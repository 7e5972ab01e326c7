"""What `run` and `screen` show of a run, and `report` of one that is at its end."""

from __future__ import annotations

import argparse
import webbrowser
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console

from bench import reports
from bench.errors import DetachedError, Exit

if TYPE_CHECKING:
    from types import ModuleType

    from bench.analysis.findings import Findings
    from bench.execution.finished_run import Run
    from bench.execution.progress import Planned, RunEvent, RunListener
    from bench.execution.request import RunRequest
    from bench.reports.blocks import Section


def carry(arguments: argparse.Namespace, request: RunRequest, way: ModuleType) -> int:
    """Do what is asked for, or only tell it, by `run` and `outlook` of a module."""
    from bench.cli.run_display import RunDisplay  # late: `report` shows no progress
    from bench.training.events import Note

    quiet, verbose, json = arguments.quiet, arguments.verbose, arguments.json
    console = Console(quiet=quiet, stderr=json, highlight=False, markup=False)
    with RunDisplay(console, quiet=quiet, verbose=verbose) as display:
        listeners: list[RunListener] = [display]
        if json:
            from bench.cli.json_run import JsonEvents, write_result

            listeners.append(JsonEvents())

        def listener(event: RunEvent) -> None:
            for one in listeners:
                one(event)

        if arguments.dry_run:
            outlook: Planned = way.outlook(request, listener)
            display.print("Dry run: nothing was decoded, trained or written.")
            return Exit.INCOMPLETE if outlook.plan.skipped else Exit.DONE
        try:
            run: Run = way.run(request, listener, arguments.executor)
        except DetachedError as left:
            listener(Note(str(left)))
            return left.exit_code
    code = Exit.INCOMPLETE if run.incomplete else Exit.DONE
    # The result is printed even with --quiet: it is what was asked for.
    result = Console(stderr=json, highlight=False, markup=False)
    show_outcome(run.findings, run.sections, result, in_browser=arguments.open)
    result.print(f"report    {run.folder / 'report.html'}", soft_wrap=True)
    if json:
        write_result(run.folder, run.findings, code)
    return code


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
