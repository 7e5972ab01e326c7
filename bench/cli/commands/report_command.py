"""`report`: render a run again from its records; trains nothing and imports no framework."""

from __future__ import annotations

import argparse
import webbrowser
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console

from bench import reports as report
from bench.cli.shared_options import REPORTS, add_run, add_shared
from bench.errors import Exit
from bench.reports import formats
from bench.storage.run_folder import find_run
from bench.system.frameworks import gc_disabled

if TYPE_CHECKING:
    from bench.analysis.findings import Findings
    from bench.reports.blocks import Section


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser, optional=True)
    add_shared(parser, "--results", *REPORTS)
    parser.add_argument(
        "--format",
        default="",
        metavar="NAMES",
        help=f"also for other tools: {', '.join(formats.FORMATS)}; several with commas",
    )
    parser.add_argument(
        "--section",
        metavar="NAME",
        help="print this section of the reports, and write none; a wrong name lists them",
    )


@gc_disabled()  # the process ends soon, and makes a great many objects until then
def main(arguments: argparse.Namespace) -> int:
    """Write the run's reports and show the table; 3 where trials failed or are not comparable."""
    from bench.reports.sections import sections  # late: `--help` needs no pandas

    folder = find_run(arguments.results, arguments.run)
    findings = report.read(folder, price_per_hour=arguments.price_per_hour, margin=arguments.margin)
    shown = sections(findings)
    if arguments.section:
        report.show(shown, Console(highlight=False), only=arguments.section)
        return Exit.DONE
    report.write(findings, shown, latex=arguments.latex)
    for path in formats.write(folder, formats.parse(arguments.format)):
        print(f"wrote {path}")
    # A run elsewhere, given by its path, leaves what is beside it alone.
    if folder.parent == arguments.results.resolve():
        report.write_index(arguments.results)
    show_outcome(findings, shown, Console(highlight=False, markup=False), in_browser=arguments.open)
    return Exit.INCOMPLETE if report.incomplete(findings) else Exit.DONE


def show_outcome(
    findings: Findings, shown: Iterable[Section], console: Console, *, in_browser: bool
) -> None:
    """Print the table and the recommendation, and open the run's page where that is wanted; where
    there is no browser, say where the page is."""
    report.show(shown, console)
    if findings.faster is not None:
        console.print(findings.faster.text, style="bold")
    page = (findings.run.folder / "report.html").resolve()
    if in_browser and not webbrowser.open(page.as_uri()):
        errors = Console(stderr=True, highlight=False, markup=False)
        errors.print(f"No browser here; open {page}", soft_wrap=True)
