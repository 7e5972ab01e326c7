"""What the commands that use a finished run can be asked: choose, compare, predict, export."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from bench.cli.argument_types import points, positive_float, share
from bench.inference.export import FORMATS

COMMANDS = {
    "choose": "say which backbone of a run to take under limits of time, size and accuracy",
    "compare": "hold two runs against each other, with intervals, where they are comparable",
    "predict": "classify new images with a run's trained model",
    "export": "write a run's trained model to a file that others can use, and check it",
}


def add_options(parsers: Mapping[str, argparse.ArgumentParser]) -> None:
    """Declare the options of each command."""
    _choose(parsers["choose"])
    _compare(parsers["compare"])
    _predict(parsers["predict"])
    _export(parsers["export"])


def add_margin(parser: argparse.ArgumentParser) -> None:
    """Declare `--margin`, of every command that recommends a backbone."""
    parser.add_argument(
        "--margin",
        type=points,
        metavar="POINTS",
        help="recommend the cheapest backbone that is shown to be within so many percentage points "
        "of the most accurate (what the run was given, 1 if nothing)",
    )


def _choose(parser: argparse.ArgumentParser) -> None:
    _run(parser, "run", optional=True)
    add_margin(parser)
    parser.add_argument(
        "--max-latency-ms",
        type=positive_float,
        metavar="MS",
        help="the most that the median latency of one image may be",
    )
    parser.add_argument(
        "--max-mb", type=positive_float, metavar="MB", help="the most that the model may weigh"
    )
    parser.add_argument(
        "--min-accuracy", type=share, metavar="SHARE", help="the least test accuracy, 0 to 1"
    )
    parser.add_argument(
        "--runtime", metavar="NAME", help="whose latency and size count (the reference runtime's)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def _compare(parser: argparse.ArgumentParser) -> None:
    _run(parser, "before")
    _run(parser, "after")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="RULE",
        help="exit with 4 where it holds of any backbone, or one cannot be judged: "
        "'accuracy drops 0.01', 'latency_p50_ms rises 10%%', 'loss rises 0.05' (repeatable)",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="name what no rule can judge (missing, failed, not comparable), but let it pass",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def _predict(parser: argparse.ArgumentParser) -> None:
    _run(parser, "run")
    parser.add_argument(
        "what",
        nargs="+",
        metavar="[BACKBONE] IMAGE|DIR",
        help="images and folders of images; before them a backbone, if not the run's pick",
    )
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="of the answers"
    )
    parser.add_argument(
        "--min-confidence",
        type=share,
        default=0.7,
        metavar="SHARE",
        help="below it an answer is marked as unsure (0.7)",
    )


def _export(parser: argparse.ArgumentParser) -> None:
    _run(parser, "run")
    parser.add_argument("backbone", metavar="BACKBONE")
    parser.add_argument(
        "--format",
        choices=FORMATS.names,
        default="keras",
        help=f"{'; '.join(f'{one.name}: {one.help}' for one in FORMATS)} (keras)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where to (the run's own folder `exported`)"
    )


def _run(parser: argparse.ArgumentParser, name: str, *, optional: bool = False) -> None:
    about = "a run's name or folder, or `latest`"
    if optional:
        parser.add_argument(name, nargs="?", default="latest", metavar="RUN", help=about)
    else:
        parser.add_argument(name, metavar="RUN", help=about)
