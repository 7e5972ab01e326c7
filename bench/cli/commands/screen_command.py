"""`screen`: the options of `run`, and how far to go before the whole protocol."""

from __future__ import annotations

import argparse

from bench.cli.argument_types import positive
from bench.cli.commands import run_command


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of `run` are about the finalists' run."""
    run_command.add_options(parser)
    parser.usage = "%(prog)s [--backbones NAMES] [--dataset DATA] [--budget 30m|N] [OPTION ...]"
    how = parser.add_argument_group("how to screen")
    how.add_argument(
        "--budget",
        metavar="TIME|N",
        help="the time for everything (30m, 2h), or how many finalists (3); without one, all that "
        "the evidence leaves",
    )
    how.add_argument(
        "--sample", type=positive, metavar="N", help="training images that are probed (1000)"
    )


def main(arguments: argparse.Namespace) -> int:
    """Screen, run the finalists, report; the exit code says whether all of it was done."""
    return run_command.carry(arguments, screening=True)
