"""`screen`: the options of `run`, and those that bound the screening before it."""

from __future__ import annotations

import argparse

from bench.cli.argument_types import positive
from bench.cli.commands import run_command


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of `run` apply to the run of the finalists."""
    run_command.add_options(parser)
    parser.usage = "%(prog)s [--backbones NAMES] [--dataset DATA] [--budget 30m|N] [OPTION ...]"
    how = parser.add_argument_group("how to screen")
    how.add_argument(
        "--budget",
        metavar="TIME|N",
        help="total time (30m, 2h), or number of finalists (3); without it, every backbone that "
        "may be the best is a finalist",
    )
    how.add_argument(
        "--sample", type=positive, metavar="N", help="training images to probe with (1000)"
    )


def main(arguments: argparse.Namespace) -> int:
    """Screen, run the finalists and report; return 3 if a trial failed or was skipped."""
    return run_command.execute(arguments, screening=True)
