"""`report`: write a run's reports again from its records; imports no framework."""

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
from bench.system.frameworks import disable_gc

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
        help=f"also write files for other tools, separated by commas: {', '.join(formats.FORMATS)}",
    )
    parser.add_argument(
        "--section",
        metavar="NAME",
        help="only print this section of the reports; an unknown name lists the sections",
    )


@disable_gc()  # the process creates many objects and ends soon
def main(arguments: argparse.Namespace) -> int:
    """Write the reports and print the table; return 3 if trials failed or are not comparable."""
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
    # No index is written next to a run that was given by its path and is elsewhere.
    if folder.parent == arguments.results.resolve():
        report.write_index(arguments.results)
    show_outcome(findings, shown, Console(highlight=False, markup=False), in_browser=arguments.open)
    return Exit.INCOMPLETE if report.is_incomplete(findings) else Exit.DONE


def show_outcome(
    findings: Findings, shown: Iterable[Section], console: Console, *, in_browser: bool
) -> None:
    """Print the table and the recommendation; with `in_browser`, open report.html, or print its
    path if there is no browser."""
    report.show(shown, console)
    if findings.faster is not None:
        console.print(findings.faster.text, style="bold")
    page = (findings.run.folder / "report.html").resolve()
    if in_browser and not webbrowser.open(page.as_uri()):
        errors = Console(stderr=True, highlight=False, markup=False)
        errors.print(f"No browser found; open {page}", soft_wrap=True)
