"""`check`: proves backbones' adapters, a line a check, and says what to do about what is wrong."""

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
        "name", metavar="NAME", help="the backbone, or several, as `run --backbones` takes them"
    )
    add_shared(parser, "--plugin", "--json")


def main(arguments: argparse.Namespace) -> int:
    """Check the backbones that are named; 0 when all is right, 1 when anything is not."""
    # Late: `check --help` needs none of it.
    from rich.console import Console

    from bench.errors import Exit
    from bench.execution.plan import choose_backbones
    from bench.registry import load_plugins

    console = Console(highlight=False, markup=False, soft_wrap=True, stderr=arguments.json)
    broken = load_plugins(arguments.plugins, arguments.packages)
    for error in broken:
        console.print(f"✗ {error}", style="red")
    backbones = choose_backbones(arguments.name)
    wrong = check_all(console, backbones, arguments.debug, json=arguments.json) or broken
    return Exit.ERROR if wrong else Exit.DONE


def check_all(
    console: Console, backbones: Iterable[Backbone], debug: bool, *, json: bool = False
) -> int:
    """Check backbones and print the results; return how many have something wrong."""
    from bench.models.backends.base import start

    start()
    # It warns of functions compiled again and again, which is what checking them takes.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from bench.execution.check import cautions, run_checks
    from bench.execution.check.subject import Subject

    tell = write_event if json else lambda event, **values: None
    wrong = 0
    for backbone in backbones:
        console.print(backbone.name, style="bold")
        results = []
        for result in run_checks(Subject(backbone)):
            results.append(result)
            console.print(_line(result), style=STYLES[result.status])
            if debug and result.error is not None:
                traceback.print_exception(result.error)
            tell(
                "check",
                backbone=backbone.name,
                check=result.check.name,
                status=result.status,
                text=result.text,
                seconds=result.seconds,
            )
        for caution in cautions(backbone):
            console.print(f"  ! {caution}", style="yellow")
            tell("caution", backbone=backbone.name, text=caution)
        passed = sum(result.status == "passed" for result in results)
        count, took = len(results), sum(result.seconds for result in results)
        console.print(f"  {passed} of {count} passed in {took:.0f} s\n")
        tell("checked", backbone=backbone.name, passed=passed, checks=count, seconds=took)
        wrong += passed < count
    return wrong


def _line(result: Result) -> str:
    """What should be so and what was found; a failure's reason has lines of its own."""
    line = f"  {MARKS[result.status]} {result.check.name:<12}"
    if result.status == "not tried":
        return f"{line} not tried: {result.text}"
    line += f" {result.seconds:5.1f} s  {result.check.explains}"
    if result.status == "failed":
        return f"{line}\n{indent(result.text, ' ' * 6)}"
    return f"{line}: {result.text}"
