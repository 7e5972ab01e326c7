"""What several commands take: options, declared once with the defaults of a run's request, and the
run that a command is about."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.argument_types import points, positive, positive_float, seed
from bench.execution.request import RunRequest

if TYPE_CHECKING:
    from rich.console import Console

    from bench.storage.records import StoredRun

Options = argparse._ActionsContainer  # a parser, or a group of its options
DEFAULTS = RunRequest()

SHARED: Mapping[str, Mapping[str, Any]] = {
    "--plugin": {
        "action": "append",
        "default": [],
        "dest": "plugins",
        "type": Path,
        "metavar": "PATH",
        "help": "a .py file, or a folder of them, that registers more backbones (repeatable)",
    },
    "--results": {
        "type": Path,
        "default": DEFAULTS.results,
        "metavar": "DIR",
        "help": "where runs are kept",
    },
    "--json": {
        "action": "store_true",
        "default": False,
        "help": "for programs: JSON, one object a line; all else goes to standard error",
    },
    "--price-per-hour": {
        "type": positive_float,
        "metavar": "X",
        "help": "what this machine costs; adds the cost of training and of a million images",
    },
    "--margin": {
        "type": points,
        "metavar": "POINTS",
        "help": "recommend the cheapest backbone that is shown to be within so many percentage "
        "points of the most accurate (what the run was given, 1 if nothing)",
    },
    "--latex": {"action": "store_true", "help": "also write the table as LaTeX (booktabs)"},
    "--open": {"action": "store_true", "help": "open report.html in the browser at the end"},
    "--cache": {
        "type": Path,
        "default": DEFAULTS.cache,
        "metavar": "DIR",
        "help": "where decoded images and frozen activations are kept (the user's cache folder)",
    },
    "--cache-gb": {
        "type": positive_float,
        "default": DEFAULTS.cache_gb,
        "metavar": "N",
        "help": f"its size limit ({DEFAULTS.cache_gb:g})",
    },
    "--limit": {
        "type": positive,
        "default": DEFAULTS.limit,
        "metavar": "N",
        "help": "train on N images, class-balanced by seed",
    },
    "--split-seed": {
        "type": seed,
        "default": DEFAULTS.split_seed,
        "metavar": "N",
        "help": "which images train, validate and test, the same for all training seeds (0)",
    },
    "--groups": {
        "type": Path,
        "default": DEFAULTS.groups,
        "metavar": "FILE",
        "help": "a CSV (image,group) or JSON file that says which images stay in one split",
    },
}
REPORTS = ("--price-per-hour", "--margin", "--latex", "--open")


def add_shared(parser: Options, *names: str) -> None:
    """Declare some of the options above."""
    for name in names:
        parser.add_argument(name, **SHARED[name])


def add_run(parser: argparse.ArgumentParser, name: str = "run", *, optional: bool = False) -> None:
    """Declare the run that a command is about."""
    about = "a run's name or folder, or `latest`"
    if optional:
        parser.add_argument(name, nargs="?", default="latest", metavar="RUN", help=about)
    else:
        parser.add_argument(name, metavar="RUN", help=about)


def read_trained(arguments: argparse.Namespace, console: Console) -> StoredRun:
    """Load the plugins, say which installed ones are broken, and return the run that is named."""
    # Late: `--help` needs none of it.
    from bench.registry import load_plugins
    from bench.storage.records import read_run
    from bench.storage.run_folder import find_run

    for error in load_plugins(arguments.plugins, arguments.packages):
        console.print(f"warning: {error}", style="yellow")
    return read_run(find_run(arguments.results, arguments.run))


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Declare where what is computed once is kept."""
    add_shared(parser.add_argument_group("cache"), "--cache", "--cache-gb")


def add_images(parser: argparse.ArgumentParser) -> None:
    """Declare which images of a data set are taken."""
    group = parser.add_argument_group("which images")
    add_shared(group, "--limit", "--split-seed", "--groups")
