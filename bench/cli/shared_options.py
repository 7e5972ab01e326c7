"""Options and arguments that several commands share, with the defaults of `RunRequest`."""

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
        "help": "a .py file, or a folder of .py files, that registers backbones (repeatable)",
    },
    "--results": {
        "type": Path,
        "default": DEFAULTS.results,
        "metavar": "DIR",
        "help": f"folder of the runs ({DEFAULTS.results})",
    },
    "--json": {
        "action": "store_true",
        "default": False,
        "help": "write JSON to standard output, one object per line, and text to standard error",
    },
    "--price-per-hour": {
        "type": positive_float,
        "metavar": "X",
        "help": "price of this machine per hour; adds the cost of training and of classifying a "
        "million images",
    },
    "--margin": {
        "type": points,
        "metavar": "POINTS",
        "help": "recommend the cheapest backbone shown to be within this many percentage points of "
        "the most accurate one (the margin given to the run, or 1)",
    },
    "--latex": {"action": "store_true", "help": "also write the table as LaTeX (booktabs)"},
    "--open": {"action": "store_true", "help": "open report.html in the browser at the end"},
    "--cache": {
        "type": Path,
        "default": DEFAULTS.cache,
        "metavar": "DIR",
        "help": "folder for decoded images and frozen activations (the user's cache folder)",
    },
    "--cache-gb": {
        "type": positive_float,
        "default": DEFAULTS.cache_gb,
        "metavar": "N",
        "help": f"size limit of the cache in GB ({DEFAULTS.cache_gb:g})",
    },
    "--limit": {
        "type": positive,
        "default": DEFAULTS.limit,
        "metavar": "N",
        "help": "train on at most N images, with balanced classes; other splits are reduced in "
        "proportion",
    },
    "--split-seed": {
        "type": seed,
        "default": DEFAULTS.split_seed,
        "metavar": "N",
        "help": "seed of the split into training, validation and test images, and of --limit; "
        "shared by all training seeds (0)",
    },
    "--groups": {
        "type": Path,
        "default": DEFAULTS.groups,
        "metavar": "FILE",
        "help": "a CSV (image,group) or JSON file; images of one group stay in the same split",
    },
}
REPORTS = ("--price-per-hour", "--margin", "--latex", "--open")


def add_shared(parser: Options, *names: str) -> None:
    """Declare those of the options in `SHARED` that have these names."""
    for name in names:
        parser.add_argument(name, **SHARED[name])


def add_run(parser: argparse.ArgumentParser, name: str = "run", *, optional: bool = False) -> None:
    """Declare a positional argument that names a run; an optional one defaults to `latest`."""
    about = "name or folder of a run"
    if optional:
        parser.add_argument(
            name, nargs="?", default="latest", metavar="RUN", help=f"{about} (latest)"
        )
    else:
        parser.add_argument(name, metavar=name.upper(), help=f"{about}, or `latest`")


def read_trained(arguments: argparse.Namespace, console: Console) -> StoredRun:
    """Load the plugins, warn of broken installed ones, and return the run of the arguments."""
    # Imported late: `--help` does not need them.
    from bench.registry import load_plugins
    from bench.storage.records import read_run
    from bench.storage.run_folder import find_run

    for error in load_plugins(arguments.plugins, arguments.packages):
        console.print(f"warning: {error}", style="yellow")
    return read_run(find_run(arguments.results, arguments.run))


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the cache."""
    add_shared(parser.add_argument_group("cache"), "--cache", "--cache-gb")


def add_images(parser: argparse.ArgumentParser) -> None:
    """Declare the options that select images of a data set and split them."""
    group = parser.add_argument_group("which images to use")
    add_shared(group, "--limit", "--split-seed", "--groups")
