"""The command line: what can be asked, and how errors and exit codes (`errors.EXIT_CODES`) come
out.

Parsing imports nothing heavy; each command's own file does its work.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import __version__
from bench.cli import finished_run_options
from bench.cli.argument_types import budget, fractions, positive, positive_float, seed, seeds
from bench.errors import EXIT_CODES, Exit
from bench.inference.runtimes import RUNTIMES
from bench.reports.formats import FORMATS
from bench.system import interrupts, standard_streams
from bench.system.command_line import Parser, ending, parse, program
from bench.types import KEEP_MODELS, PRECISIONS

if TYPE_CHECKING:
    from bench.execution.executors.base import Executor

COMMANDS = {
    "run": "train and measure backbones under one protocol (the default)",
    "list": "show the backbones, datasets and protocols there are",
    "report": "render a run's reports again from its records",
    **finished_run_options.COMMANDS,
    "verify": "train a run's smallest trial again: are the probabilities the same?",
    "audit": "look for copies, leaks and wrong labels among the images of a data set",
    "check": "prove that a backbone's adapter is right, before hours are spent on it",
    "cache": "show or clear what has been computed once and kept",
}

EXITS = ", ".join(f"{code.value} {meaning}" for code, meaning in EXIT_CODES.items())


def main(
    argv: Sequence[str] | None = None,
    packages: Sequence[str] = (),
    executor: Executor | None = None,
) -> int:
    """Run one command; `packages` hold backbones that are there without being installed.

    `executor` runs the trials instead of processes on this machine.
    """
    standard_streams.make_usable()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in (*COMMANDS, "--version"):
        words = ["run", *words]
    arguments = parse(parser(), words)
    arguments.packages = tuple(packages)
    arguments.executor = executor
    arguments.words = words
    interrupts.listen()
    try:
        code = _run(arguments)
    except KeyboardInterrupt:  # once more, while the first was answered
        code = Exit.INTERRUPTED
    interrupts.ended(code)
    return int(code)


def _run(arguments: argparse.Namespace) -> int:
    try:
        command = importlib.import_module(f"bench.cli.commands.{arguments.command}_command")
        code: int = command.main(arguments)
        sys.stdout.flush()
    except BaseException as error:
        if arguments.debug and isinstance(error, Exception):
            raise
        code, text = ending(error, arguments.command)
        if text:
            print(text, file=sys.stderr)
    return code


def parser(*, abbreviations: bool = False) -> Parser:
    """All commands and their options, by their whole names: what abbreviates one today may be
    that of another tomorrow."""
    whole = Parser(
        prog=program(),
        description="One freeze-then-fine-tune protocol over every pretrained backbone.",
        epilog=f"Exit codes: {EXITS}.",
    )
    whole.add_argument("--version", action="version", version=f"backbone-bench {__version__}")
    commands = whole.add_subparsers(
        dest="command",
        required=True,
        metavar="COMMAND",
    )
    added = {
        name: commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        for name, text in COMMANDS.items()
    }
    whole.commands = added
    others = [f"{name} ({text})" for name, text in COMMANDS.items() if name != "run"]
    added[
        "run"
    ].epilog = (
        f"Other commands: {'; '.join(others)}. COMMAND --help tells more. Exit codes: {EXITS}."
    )
    for command in added.values():
        command.allow_abbrev = abbreviations
        command.add_argument("--debug", action="store_true", help="show tracebacks")
    for name in ("run", "list", "check", "predict", "export", "verify"):
        added[name].add_argument(
            "--plugin",
            action="append",
            default=[],
            type=Path,
            metavar="PATH",
            help="a .py file, or a folder of them, that registers more backbones (repeatable)",
        )
    for name in ("run", "report", "verify", *finished_run_options.COMMANDS):
        added[name].add_argument(
            "--results",
            type=Path,
            default=Path("results"),
            metavar="DIR",
            help="where runs are kept",
        )
    for name in ("run", "report"):
        added[name].add_argument(
            "--price-per-hour",
            type=positive_float,
            metavar="X",
            help="what this machine costs; adds the cost of training and of a million images",
        )
        finished_run_options.add_margin(added[name])
        added[name].add_argument(
            "--latex", action="store_true", help="also write the table as LaTeX (booktabs)"
        )
        added[name].add_argument(
            "--open", action="store_true", help="open report.html in the browser at the end"
        )
    for name in ("run", "audit", "cache", "export"):
        _cache_options(added[name])
    for name in ("run", "audit"):
        _image_options(added[name])
    _audit_options(added["audit"])
    _run_options(added["run"])
    finished_run_options.add_options(added)
    added["list"].add_argument("--json", action="store_true", help="as JSON, for programs")
    added["report"].add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="a run's name or folder"
    )
    added["report"].add_argument(
        "--format",
        default="",
        metavar="NAMES",
        help=f"also for other tools: {', '.join(FORMATS)}; several with commas",
    )
    added["verify"].add_argument("run", metavar="RUN", help="a run's name or folder, or `latest`")
    added["check"].add_argument("name", metavar="NAME", help="the backbone, or `all`")
    added["cache"].add_argument(
        "action",
        nargs="?",
        choices=("summary", "list", "clear"),
        default="summary",
        help="sum up what is kept by kind, list each entry, or delete all that no run uses",
    )
    return whole


def _cache_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cache")
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where decoded images and frozen activations are kept (the user's cache folder)",
    )
    group.add_argument(
        "--cache-gb", type=positive_float, default=50.0, metavar="N", help="its bound (50)"
    )


def _image_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which images")
    group.add_argument(
        "--limit", type=positive, metavar="N", help="train on N images, class-balanced by seed"
    )
    group.add_argument(
        "--split-seed",
        type=seed,
        default=0,
        metavar="N",
        help="which images train, validate and test, the same for all training seeds (0)",
    )
    group.add_argument(
        "--groups",
        type=Path,
        metavar="FILE",
        help="a CSV (image,group) or JSON file that says which images stay in one split",
    )


def _audit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATA", help="as for `run --dataset`")
    parser.add_argument(
        "--on-leak",
        choices=("warn", "fail"),
        default="warn",
        help="where test images are also in train or validation: say so, or exit with 1 (warn)",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write audit.md, audit.json and the pairs' pictures"
    )


def _run_options(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "--backbones", default="all", metavar="NAMES", help="`all`, or NAME,NAME (see `list`)"
    )
    what.add_argument(
        "--dataset",
        default="auto",
        metavar="DATA",
        help="auto, demo, a folder of images, a .zip of one, or tfds:NAME",
    )
    what.add_argument(
        "--protocol", default="default", metavar="NAME", help="a protocol's name, or a TOML file"
    )
    what.add_argument(
        "--weights",
        default="auto",
        metavar="FROM",
        help="auto (random where none can be had), imagenet (or stop), random, or a folder",
    )
    what.add_argument(
        "--input-size", type=positive, metavar="PX", help="the same for all (each one's own)"
    )
    what.add_argument("--batch-size", type=positive, metavar="N", help="images a step (32)")
    either = what.add_mutually_exclusive_group()
    either.add_argument("--seed", type=seed, default=0, metavar="N", help="of the training (0)")
    either.add_argument(
        "--seeds",
        type=seeds,
        metavar="N|A,B,C",
        help="train N seeds from 0 on, or those listed, on the same cached activations",
    )
    audit = what.add_mutually_exclusive_group()
    audit.add_argument(
        "--on-leak",
        choices=("warn", "drop", "fail"),
        default="warn",
        help="where test images are also in train or validation: say so, leave those out of "
        "training, or stop before it (warn)",
    )
    audit.add_argument(
        "--no-audit", action="store_true", help="do not look for copies among the images"
    )
    what.add_argument(
        "--fractions",
        type=fractions,
        default=(1.0,),
        metavar="A,B,1",
        help="also train on these shares of the training images, for learning curves; each seed "
        "draws its own, and smaller shares are part of larger ones (1)",
    )
    what.add_argument(
        "--tune",
        type=budget,
        default=0,
        metavar="N",
        help="train each trial at N learning rates, the protocol's times 1, 0.32, 3.2, 0.1, ..., "
        "and take the one with the least validation loss (the protocol's alone)",
    )
    what.add_argument(
        "--robustness",
        action="store_true",
        help="also ask the trained models about corrupted test images: blur, noise, JPEG, "
        "brightness, contrast and rotation, in three strengths each (every seed's model is asked)",
    )
    how = parser.add_argument_group("how to run")
    how.add_argument(
        "--device", choices=("auto", "cpu", "gpu"), default="auto", help="where to compute"
    )
    how.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="what layers compute in, in training and when timed; weights and logits stay float32",
    )
    how.add_argument(
        "--threads",
        type=positive,
        default=0,
        metavar="N",
        help="of the processor, in training and in every runtime that is timed (all cores)",
    )
    how.add_argument(
        "--no-cache",
        action="store_true",
        help="run the frozen part in every epoch, as a plain training loop does",
    )
    how.add_argument(
        "--deterministic",
        action="store_true",
        help="ask the framework for operations that give the same result every time",
    )
    how.add_argument(
        "--latency-seconds",
        type=positive_float,
        default=2.0,
        metavar="S",
        help="how long to time one image after another; larger batches a quarter of it (2)",
    )
    how.add_argument(
        "--runtimes",
        default="keras",
        metavar="NAMES",
        help=f"how trained models are run to be timed: keras (always), or more: "
        f"{', '.join(RUNTIMES.names[1:])}; or `all` (see `list`)",
    )
    how.add_argument(
        "--keep-models",
        choices=KEEP_MODELS,
        default="best",
        help="whose trained weights to keep: of each backbone the best seed's, by validation "
        "(best), every trial's, or none; `predict` and `export` need them",
    )
    how.add_argument(
        "--keep-artefacts",
        action="store_true",
        help="keep what --runtimes converted, in the run's folder models/",
    )
    how.add_argument(
        "--no-retry",
        action="store_true",
        help="leave a trial that runs out of memory failed, instead of running it again in "
        "smaller steps whose gradients are added up to the same batch",
    )
    how.add_argument(
        "--trial-timeout",
        type=positive_float,
        metavar="SECONDS",
        help="end a trial that takes longer, with what it loads, builds and computes for the cache;"
        " it is recorded as failed and the run goes on (no limit)",
    )
    how.add_argument("--run", metavar="NAME", help="the run's name (made from what is asked)")
    how.add_argument(
        "--fresh", action="store_true", help="begin anew; an earlier run is moved aside"
    )
    how.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    how.add_argument("-q", "--quiet", action="store_true", help="only errors and the result")
    how.add_argument("-v", "--verbose", action="store_true", help="also each excluded image")


if __name__ == "__main__":
    sys.exit(main())
