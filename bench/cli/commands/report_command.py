"""`report`: render a run again from its records; trains nothing and imports no framework."""

from __future__ import annotations

import argparse

from rich.console import Console

from bench import reports as report
from bench.cli.outcome import show_outcome
from bench.cli.shared_options import REPORTS, add_run, add_shared
from bench.errors import Exit
from bench.reports import formats
from bench.storage.run_folder import find_run
from bench.system.frameworks import gc_disabled


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


def main(arguments: argparse.Namespace) -> int:
    """Write the run's reports and show the table; 3 where trials failed or are not comparable."""
    with gc_disabled():  # the process ends soon, and makes a great many objects until then
        return _render(arguments)


def _render(arguments: argparse.Namespace) -> int:
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
