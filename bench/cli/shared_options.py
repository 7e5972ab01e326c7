"""Options that several commands take: declared once, with the defaults of a run's request."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.argument_types import points, positive, positive_float, seed
from bench.execution.request import RunRequest

Options = argparse._ActionsContainer  # a parser, or a group of its options
DEFAULTS = RunRequest()


def add_run(parser: argparse.ArgumentParser, name: str = "run", *, optional: bool = False) -> None:
    """Declare the run that a command is about."""
    about = "a run's name or folder, or `latest`"
    if optional:
        parser.add_argument(name, nargs="?", default="latest", metavar="RUN", help=about)
    else:
        parser.add_argument(name, metavar="RUN", help=about)


def add_plugins(parser: Options) -> None:
    """Declare `--plugin`."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        dest="plugins",
        type=Path,
        metavar="PATH",
        help="a .py file, or a folder of them, that registers more backbones (repeatable)",
    )


def add_results(parser: Options) -> None:
    """Declare `--results`."""
    parser.add_argument(
        "--results", type=Path, default=DEFAULTS.results, metavar="DIR", help="where runs are kept"
    )


def add_json(parser: Options) -> None:
    """Declare `--json`."""
    parser.add_argument(
        "--json",
        action="store_true",
        default=False,
        help="for programs: JSON, one object a line; all else goes to standard error",
    )


def add_margin(parser: Options) -> None:
    """Declare `--margin`, of every command that recommends a backbone."""
    parser.add_argument(
        "--margin",
        type=points,
        metavar="POINTS",
        help="recommend the cheapest backbone that is shown to be within so many percentage points "
        "of the most accurate (what the run was given, 1 if nothing)",
    )


def add_report_options(parser: Options) -> None:
    """Declare what is asked of the commands that write reports."""
    parser.add_argument(
        "--price-per-hour",
        type=positive_float,
        metavar="X",
        help="what this machine costs; adds the cost of training and of a million images",
    )
    add_margin(parser)
    parser.add_argument(
        "--latex", action="store_true", help="also write the table as LaTeX (booktabs)"
    )
    parser.add_argument(
        "--open", action="store_true", help="open report.html in the browser at the end"
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Declare where what is computed once is kept."""
    group = parser.add_argument_group("cache")
    group.add_argument(
        "--cache",
        type=Path,
        default=DEFAULTS.cache,
        metavar="DIR",
        help="where decoded images and frozen activations are kept (the user's cache folder)",
    )
    group.add_argument(
        "--cache-gb",
        type=positive_float,
        default=DEFAULTS.cache_gb,
        metavar="N",
        help=f"its size limit ({DEFAULTS.cache_gb:g})",
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """Declare which images of a data set are taken."""
    group = parser.add_argument_group("which images")
    group.add_argument(
        "--limit",
        type=positive,
        default=DEFAULTS.limit,
        metavar="N",
        help="train on N images, class-balanced by seed",
    )
    group.add_argument(
        "--split-seed",
        type=seed,
        default=DEFAULTS.split_seed,
        metavar="N",
        help="which images train, validate and test, the same for all training seeds (0)",
    )
    group.add_argument(
        "--groups",
        type=Path,
        default=DEFAULTS.groups,
        metavar="FILE",
        help="a CSV (image,group) or JSON file that says which images stay in one split",
    )
