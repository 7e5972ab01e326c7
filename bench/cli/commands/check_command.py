"""`check`: test the declarations of backbones, one line per check, with a remedy for failures."""

from __future__ import annotations

import argparse
import logging
import traceback
from collections.abc import Iterable
from textwrap import indent
from typing import TYPE_CHECKING

from bench.cli.json_lines import write_event
from bench.cli.shared_options import add_shared

if TYPE_CHECKING:
    from rich.console import Console

    from bench.execution.check import Result
    from bench.types import Backbone

MARKS = {"passed": "✓", "failed": "✗", "not tried": "-"}
STYLES = {"passed": "none", "failed": "red", "not tried": "dim"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "name", metavar="NAME", help="one or more backbones, as for `run --backbones`"
    )
    add_shared(parser, "--plugin", "--json")


def main(arguments: argparse.Namespace) -> int:
    """Check the named backbones; return 0 if all checks passed, else 1."""
    # Imported late: `check --help` does not need them.
    from rich.console import Console

    from bench.errors import Exit
    from bench.execution.plan import choose_backbones
    from bench.registry import load_plugins

    console = Console(highlight=False, markup=False, soft_wrap=True, stderr=arguments.json)
    broken = load_plugins(arguments.plugins, arguments.packages)
    for error in broken:
        console.print(f"✗ {error}", style="red")
    backbones = choose_backbones(arguments.name)
    failed = check_all(console, backbones, arguments.debug, json=arguments.json)
    return Exit.ERROR if failed or broken else Exit.DONE


def check_all(
    console: Console, backbones: Iterable[Backbone], debug: bool, *, json: bool = False
) -> int:
    """Check backbones and print the results; return the number of backbones with failed checks."""
    from bench.models.backends.base import start_backend

    start_backend()
    # TensorFlow warns of functions that are compiled repeatedly, which checks cannot avoid.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from bench.execution.check import cautions, run_checks
    from bench.execution.check.subject import Subject

    emit = write_event if json else lambda event, **values: None
    failed = 0
    for backbone in backbones:
        console.print(backbone.name, style="bold")
        results = []
        for result in run_checks(Subject(backbone)):
            results.append(result)
            console.print(_line(result), style=STYLES[result.status])
            if debug and result.error is not None:
                traceback.print_exception(result.error)
            emit(
                "check",
                backbone=backbone.name,
                check=result.check.name,
                status=result.status,
                text=result.text,
                seconds=result.seconds,
            )
        for caution in cautions(backbone):
            console.print(f"  ! {caution}", style="yellow")
            emit("caution", backbone=backbone.name, text=caution)
        passed = sum(result.status == "passed" for result in results)
        count, took = len(results), sum(result.seconds for result in results)
        console.print(f"  {passed} of {count} passed in {took:.0f} s\n")
        emit("checked", backbone=backbone.name, passed=passed, checks=count, seconds=took)
        failed += passed < count
    return failed


def _line(result: Result) -> str:
    """Return a result as text: the requirement and the finding, a failure on lines of its own."""
    line = f"  {MARKS[result.status]} {result.check.name:<12}"
    if result.status == "not tried":
        return f"{line} not tried: {result.text}"
    line += f" {result.seconds:5.1f} s  {result.check.explains}"
    if result.status == "failed":
        return f"{line}\n{indent(result.text, ' ' * 6)}"
    return f"{line}: {result.text}"
