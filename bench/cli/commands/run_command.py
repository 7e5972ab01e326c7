"""`run`: its options become a request, and what the run tells is shown."""

from __future__ import annotations

import argparse
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TypeVar

from bench.cli.argument_types import (
    budget,
    fractions,
    one_seed,
    pixels,
    positive,
    positive_float,
    seeds,
)
from bench.cli.shared_options import REPORTS, Options, add_cache, add_images, add_shared
from bench.data.sources import any_usage
from bench.errors import DetachedError, Exit
from bench.execution.request import RunRequest, ScreenRequest
from bench.inference.runtimes import RUNTIMES
from bench.system.command_line import called
from bench.system.frameworks import UNUSED_BY_PANDAS, hidden_packages
from bench.types import DEVICES, KEEP_MODELS, ON_LEAK, PRECISIONS

T = TypeVar("T", bound=RunRequest)


def main(arguments: argparse.Namespace) -> int:
    """Plan, run, report; the exit code says whether all of it was done."""
    return carry(arguments, screening=False)


def carry(arguments: argparse.Namespace, *, screening: bool) -> int:
    """Do what is asked for, or only tell it: a run, or a screening with the run it ends in."""
    # Late: `run --help` needs none of it.
    from rich.console import Console

    with hidden_packages(*UNUSED_BY_PANDAS):
        from bench.cli.commands.report_command import show_outcome
        from bench.cli.run_display import RunDisplay
        from bench.execution.progress import RunEvent, RunListener
        from bench.training.events import Note, TrainingStarted, WritingReports

        way = import_module("bench.execution." + ("screen" if screening else "launch"))
        if arguments.json:
            from bench.cli.json_run import JsonEvents, write_result

    request = request_of(arguments, ScreenRequest if screening else RunRequest)
    json = arguments.json
    loading = Thread(target=_load_reports)
    console = Console(quiet=arguments.quiet, stderr=json, highlight=False, markup=False)
    with RunDisplay(console, verbose=arguments.verbose) as display:
        listeners: list[RunListener] = [display]
        if json:
            listeners.append(JsonEvents())

        def listener(event: RunEvent) -> None:
            for one in listeners:
                one(event)
            # Imported while a worker builds its network and this process would wait.
            if isinstance(event, TrainingStarted) and not loading.ident:
                loading.start()
            elif isinstance(event, WritingReports) and loading.ident:
                loading.join()

        if arguments.dry_run:
            preview = way.preview(request, listener)
            display.print("Dry run: nothing was decoded, trained or written.")
            return Exit.INCOMPLETE if preview.plan.skipped else Exit.DONE
        try:
            run = way.run(request, listener, arguments.executor)
        except DetachedError as left:
            listener(Note(str(left)))
            return left.exit_code
    code = Exit.INCOMPLETE if run.incomplete else Exit.DONE
    # The result is printed even with --quiet: it is what was asked for.
    result = Console(stderr=json, highlight=False, markup=False)
    show_outcome(run.findings, run.sections, result, in_browser=arguments.open)
    result.print(f"report    {run.folder / 'report.html'}", soft_wrap=True)
    if json:
        write_result(run.folder, run.findings, code)
    return code


def _load_reports() -> None:
    from bench import reports

    with hidden_packages(*UNUSED_BY_PANDAS):
        reports.load()


def request_of(arguments: argparse.Namespace, kind: type[T]) -> T:
    """Return what the options ask for; those that were not given keep the request's defaults."""
    names = {field.name for field in fields(kind)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return kind.of(given | {"command": (called(), *arguments.words)})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options. Those of the request have its names and no default of their own."""
    parser.set_defaults(open=False, quiet=False, verbose=False, dry_run=False)
    parser.usage = "%(prog)s [--backbones NAMES] [--dataset DATA] [--seeds N] [OPTION ...]"
    _what_to_run(parser.add_argument_group("what to run"))
    add_images(parser)
    _how_to_train(parser.add_argument_group("how to train"))
    _what_to_measure(parser.add_argument_group("what to measure and to keep"))
    _where(parser.add_argument_group("where and when"))
    reports = parser.add_argument_group("reports and output")
    add_shared(reports, *REPORTS, "--json")
    reports.add_argument("-q", "--quiet", action="store_true", help="only errors and the result")
    reports.add_argument("-v", "--verbose", action="store_true", help="also each excluded image")
    add_cache(parser)


def _what_to_run(what: Options) -> None:
    what.add_argument(
        "--backbones",
        metavar="NAMES",
        help="`all`, `zoo` for every one, or NAME,NAME with patterns as 'resnet*' (see `list zoo`)",
    )
    what.add_argument("--dataset", metavar="DATA", help=f"{any_usage()} (see `list`)")
    what.add_argument("--protocol", metavar="NAME", help="a protocol's name, or a TOML file")
    what.add_argument(
        "--weights",
        metavar="FROM",
        help="auto (random where none are available), imagenet (or stop), random, or a folder",
    )
    what.add_argument(
        "--input-size",
        type=pixels,
        metavar="PX[,PX]",
        help="for all, one row of the tables for each (each backbone's own)",
    )
    either = what.add_mutually_exclusive_group()
    either.add_argument(
        "--seed", type=one_seed, dest="seeds", metavar="N", help="of the training (0)"
    )
    either.add_argument(
        "--seeds",
        type=seeds,
        metavar="N|A,B,C",
        help="train N seeds from 0 on, or those listed, on the same cached activations",
    )
    audit = what.add_mutually_exclusive_group()
    audit.add_argument(
        "--on-leak",
        choices=ON_LEAK,
        help="where test images are also in train or validation: say so, leave those out of "
        "training, or stop before it (warn)",
    )
    audit.add_argument(
        "--no-audit",
        action="store_false",
        dest="audit",
        help="do not look for copies among the images",
    )
    add_shared(what, "--plugin")


def _how_to_train(how: Options) -> None:
    how.add_argument("--batch-size", type=positive, metavar="N", help="images a step (32)")
    how.add_argument(
        "--fractions",
        type=fractions,
        metavar="A,B,1",
        help="also train on these shares of the training images, for learning curves; each seed "
        "draws its own, and smaller shares are part of larger ones (1)",
    )
    how.add_argument(
        "--tune",
        type=budget,
        metavar="N",
        help="train each trial at N learning rates, the protocol's times 1, 0.32, 3.2, 0.1, ..., "
        "and take the one with the least validation loss (the protocol's alone)",
    )
    how.add_argument("--device", choices=DEVICES, help="where to compute")
    how.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="what layers compute in, in training and when timed; weights and logits stay float32",
    )
    how.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="of the processor, in training and in every runtime that is timed (all cores)",
    )
    how.add_argument(
        "--deterministic",
        action="store_true",
        help="ask the framework for operations that give the same result every time",
    )
    how.add_argument(
        "--no-cache",
        action="store_false",
        dest="cache_features",
        help="run the frozen part in every epoch, as a plain training loop does",
    )
    how.add_argument(
        "--no-retry",
        action="store_false",
        dest="retry",
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


def _what_to_measure(what: Options) -> None:
    what.add_argument(
        "--runtimes",
        metavar="NAMES",
        help=f"how trained models are run to be timed: keras (always), or more: "
        f"{', '.join(RUNTIMES.names[1:])}; or `all` (see `list`)",
    )
    what.add_argument(
        "--latency-seconds",
        type=positive_float,
        metavar="S",
        help="how long to time one image after another; larger batches a quarter of it (2)",
    )
    what.add_argument(
        "--robustness",
        action="store_true",
        help="also ask the trained models about corrupted test images: blur, noise, JPEG, "
        "brightness, contrast and rotation, in three strengths each (every seed's model is asked)",
    )
    what.add_argument(
        "--probes",
        action="store_true",
        help="also fit simple classifiers to each pretrained backbone's frozen features, nearest "
        "neighbours and a logistic regression: what does training gain over them?",
    )
    what.add_argument(
        "--no-heatmaps",
        action="store_false",
        dest="heatmaps",
        help="do not explain mistakes: no heatmaps, nearest training images or map of the features",
    )
    what.add_argument(
        "--keep-models",
        choices=KEEP_MODELS,
        help="whose trained weights to keep: of each backbone the best seed's, by validation "
        "(best), every trial's, or none; `predict` and `export` need them. With `all`, the weights "
        "of a backbone's seeds are also averaged: one model, NAME@soup",
    )
    what.add_argument(
        "--keep-artefacts",
        action="store_true",
        help="keep what --runtimes converted, in the run's folder models/",
    )


def _where(where: Options) -> None:
    where.add_argument("--run", metavar="NAME", help="the run's name (made from what is asked)")
    add_shared(where, "--results")
    where.add_argument(
        "--fresh", action="store_true", help="start again; an earlier run is moved aside"
    )
    where.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    where.add_argument(
        "--on",
        metavar="EXECUTOR",
        help="where trials run: local (processes on this machine), ray or ray:HOST:PORT (a Ray "
        "cluster), slurm (jobs of a Slurm cluster), or another of `list`",
    )
    where.add_argument(
        "--per-trial",
        metavar="cpus=N,gpus=N",
        help="what a cluster grants each trial (as many cores as --threads, or 1; no GPU)",
    )
    where.add_argument(
        "--ship-data",
        action="store_true",
        help="send decoded images to the nodes of a cluster, which need not have the data set",
    )
    where.add_argument(
        "--site",
        type=Path,
        metavar="FILE",
        help="a TOML file that says how jobs are submitted to Slurm: partition, account, time, ...",
    )
    where.add_argument(
        "--detach",
        action="store_true",
        help="return once all jobs are submitted to Slurm; the same command takes in what is done",
    )
    where.add_argument(
        "--measure-on",
        metavar="NODE",
        help="the node of a cluster that models are timed on (this machine)",
    )
