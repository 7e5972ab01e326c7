"""`report`: render a run again from its records; trains nothing and imports no framework."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from bench import reports as report
from bench.cli.commands.opening import open_report
from bench.errors import Exit, UsageError
from bench.reports import formats
from bench.system.frameworks import uncollected


def main(arguments: argparse.Namespace) -> int:
    """Write the run's reports and show the table; 3 where trials failed or may not be ranked."""
    with uncollected():  # the process ends soon, and makes a great many objects until then
        return _render(arguments)


def _render(arguments: argparse.Namespace) -> int:
    folder = find_run(arguments.results, arguments.run)
    findings = report.read(folder, price_per_hour=arguments.price_per_hour, margin=arguments.margin)
    report.write(findings, latex=arguments.latex)
    for path in formats.write(folder, formats.parse(arguments.format)):
        print(f"wrote {path}")
    # A run elsewhere, given by its path, leaves what is beside it alone.
    if folder.parent == arguments.results.resolve():
        report.write_index(arguments.results)
    report.show(findings, Console(highlight=False))
    if arguments.open:
        open_report(folder, Console(stderr=True, highlight=False))
    return Exit.INCOMPLETE if report.incomplete(findings) else Exit.DONE


def find_run(results: Path, name: str) -> Path:
    """The folder of a run given by name, by path, or as `latest`."""
    for folder in (results / name, Path(name)):
        if folder.is_file():  # where links cannot be made, `latest` is a file holding the name
            folder = results / folder.read_text(encoding="utf-8").strip()
        if (folder / "run.json").is_file():
            return folder.resolve()
    known = sorted(p.parent.name for p in results.glob("*/run.json") if not p.parent.is_symlink())
    listed = ", ".join(known) if known else "none yet"
    raise UsageError(f"there is no run {name!r} in {results}. Known: {listed}.")
