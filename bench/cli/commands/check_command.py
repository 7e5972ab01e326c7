"""`check`: proves backbones' adapters, a line a check, and says what to do about what is wrong."""

from __future__ import annotations

import argparse
import logging
import os
import traceback
from collections.abc import Iterable
from textwrap import indent
from typing import TYPE_CHECKING

from rich.console import Console

from bench.cli.shared_options import add_plugins
from bench.errors import Exit
from bench.execution.plan import choose_backbones
from bench.registry import load_plugins
from bench.types import Backbone

if TYPE_CHECKING:
    from bench.execution.check import Result

MARKS = {"passed": "✓", "failed": "✗", "not tried": "-"}
STYLES = {"passed": "none", "failed": "red", "not tried": "dim"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", metavar="NAME", help="the backbone, or `all`")
    add_plugins(parser)


def main(arguments: argparse.Namespace) -> int:
    """Check the backbones that are named; 0 when all is right, 1 when anything is not."""
    console = Console(highlight=False, soft_wrap=True)
    broken = load_plugins(arguments.plugins, arguments.packages)
    for error in broken:
        console.print(f"✗ {error}", style="red", markup=False)
    backbones = choose_backbones(arguments.name)
    wrong = _check_all(console, backbones, arguments.debug) or broken
    return Exit.ERROR if wrong else Exit.DONE


def _check_all(console: Console, backbones: Iterable[Backbone], debug: bool) -> int:
    """How many of the backbones have something wrong."""
    # Before TensorFlow is loaded, which reads it once.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # It warns of functions compiled again and again, which is what checking them takes.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from bench.execution.check import cautions, run_checks

    wrong = 0
    for backbone in backbones:
        console.print(backbone.name, style="bold", markup=False)
        results = []
        for result in run_checks(backbone):
            results.append(result)
            console.print(_line(result), style=STYLES[result.status], markup=False)
            if debug and result.error is not None:
                traceback.print_exception(result.error)
        for caution in cautions(backbone):
            console.print(f"  ! {caution}", style="yellow", markup=False)
        passed = sum(result.status == "passed" for result in results)
        seconds = sum(result.seconds for result in results)
        console.print(f"  {passed} of {len(results)} passed in {seconds:.0f} s\n", markup=False)
        wrong += passed < len(results)
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
