"""`run`: turn the options into a request, execute it, and show the events of the run."""

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
from bench.data.sources import describe_usage
from bench.errors import DetachedError, Exit
from bench.execution.request import RunRequest, ScreenRequest
from bench.inference.runtimes import RUNTIMES
from bench.system.command_line import program_word
from bench.system.frameworks import UNUSED_BY_PANDAS, hide_packages
from bench.types import DEVICES, KEEP_MODELS, ON_LEAK, PRECISIONS

T = TypeVar("T", bound=RunRequest)


def main(arguments: argparse.Namespace) -> int:
    """Plan, run and report; return 3 if a trial failed, was skipped or is not comparable."""
    return execute(arguments, screening=False)


def execute(arguments: argparse.Namespace, *, screening: bool) -> int:
    """Execute a run, or a screening and its finalists' run; with `--dry-run`, only show the plan.

    Returns the exit code.
    """
    # Imported late: `run --help` does not need them.
    from rich.console import Console

    with hide_packages(*UNUSED_BY_PANDAS):
        from bench.cli.commands.report_command import show_outcome
        from bench.cli.run_display import RunDisplay
        from bench.execution.progress import RunEvent, RunListener
        from bench.training.events import Note, TrainingStarted, WritingReports

        execution = import_module("bench.execution." + ("screen" if screening else "launch"))
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
            # Import the reports while a worker builds its network and this process waits.
            if isinstance(event, TrainingStarted) and not loading.ident:
                loading.start()
            elif isinstance(event, WritingReports) and loading.ident:
                loading.join()

        if arguments.dry_run:
            preview = execution.preview(request, listener)
            display.print("Dry run: nothing was decoded, trained or written.")
            return Exit.INCOMPLETE if preview.plan.skipped else Exit.DONE
        try:
            run = execution.run(request, listener, arguments.executor)
        except DetachedError as detached:
            listener(Note(str(detached)))
            return detached.exit_code
    code = Exit.INCOMPLETE if run.incomplete else Exit.DONE
    # --quiet silences progress and not the result.
    result = Console(stderr=json, highlight=False, markup=False)
    show_outcome(run.findings, run.sections, result, in_browser=arguments.open)
    result.print(f"report    {run.folder / 'report.html'}", soft_wrap=True)
    if json:
        write_result(run.folder, run.findings, code)
    return code


def _load_reports() -> None:
    from bench import reports

    with hide_packages(*UNUSED_BY_PANDAS):
        reports.preload()


def request_of(arguments: argparse.Namespace, kind: type[T]) -> T:
    """Return the request of the options; omitted options keep the defaults of the request."""
    names = {field.name for field in fields(kind)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return kind.of(given | {"command": (program_word(), *arguments.words)})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options. Those of the request have the names of its fields and no default."""
    parser.set_defaults(open=False, quiet=False, verbose=False, dry_run=False)
    parser.usage = "%(prog)s [--backbones NAMES] [--dataset DATA] [--seeds N] [OPTION ...]"
    _what_to_run(parser.add_argument_group("what to run"))
    add_images(parser)
    _how_to_train(parser.add_argument_group("how to train"))
    _what_to_measure(parser.add_argument_group("what to measure and to keep"))
    _where(parser.add_argument_group("where to run"))
    reports = parser.add_argument_group("reports and output")
    add_shared(reports, *REPORTS, "--json")
    reports.add_argument(
        "-q", "--quiet", action="store_true", help="print only errors and the result"
    )
    reports.add_argument(
        "-v", "--verbose", action="store_true", help="also print every excluded image"
    )
    add_cache(parser)


def _what_to_run(what: Options) -> None:
    what.add_argument(
        "--backbones",
        metavar="NAMES",
        help="`all`, `zoo` (every registered backbone), or NAME,NAME with patterns such as "
        "'resnet*'; see `list zoo` (all)",
    )
    what.add_argument("--dataset", metavar="DATA", help=f"{describe_usage()}; see `list` (auto)")
    what.add_argument(
        "--protocol", metavar="NAME", help="name of a protocol, or a TOML file (`default`)"
    )
    what.add_argument(
        "--weights",
        metavar="FROM",
        help="auto (random weights if no others are available), imagenet (stop if they are not "
        "available), random, or a folder of weight files (auto)",
    )
    what.add_argument(
        "--input-size",
        type=pixels,
        metavar="PX[,PX]",
        help="input size of all backbones; each of several sizes has its own rows in the tables "
        "(each backbone's own)",
    )
    either = what.add_mutually_exclusive_group()
    either.add_argument(
        "--seed", type=one_seed, dest="seeds", metavar="N", help="training seed (0)"
    )
    either.add_argument(
        "--seeds",
        type=seeds,
        metavar="N|A,B,C",
        help="train the seeds 0 to N-1, or those listed, on the same cached activations",
    )
    audit = what.add_mutually_exclusive_group()
    audit.add_argument(
        "--on-leak",
        choices=ON_LEAK,
        help="if test images are also in train or validation: report it, drop those training and "
        "validation images, or stop before training (warn)",
    )
    audit.add_argument(
        "--no-audit",
        action="store_false",
        dest="audit",
        help="do not search the images for copies",
    )
    add_shared(what, "--plugin")


def _how_to_train(how: Options) -> None:
    how.add_argument(
        "--batch-size", type=positive, metavar="N", help="images per step (the protocol's, 32)"
    )
    how.add_argument(
        "--fractions",
        type=fractions,
        metavar="A,B,1",
        help="train on these fractions of the training set, for learning curves; each seed draws "
        "its own, and smaller fractions are part of larger ones (1)",
    )
    how.add_argument(
        "--tune",
        type=budget,
        metavar="N",
        help="train each trial at N learning rates, the protocol's times 1, 0.32, 3.2, 0.1, ..., "
        "and keep the one with the lowest validation loss (the protocol's only)",
    )
    how.add_argument("--device", choices=DEVICES, help="device to compute on (auto)")
    how.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="precision of the layers in training and when timed; weights and logits stay float32 "
        "(float32)",
    )
    how.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="processor threads for training and for every runtime that is timed (all cores)",
    )
    how.add_argument(
        "--deterministic",
        action="store_true",
        help="use operations of the framework that return the same result every time",
    )
    how.add_argument(
        "--no-cache",
        action="store_false",
        dest="cache_features",
        help="compute the frozen part again in every epoch, as a plain training loop does",
    )
    how.add_argument(
        "--no-retry",
        action="store_false",
        dest="retry",
        help="record a trial that runs out of memory as failed, instead of training it again in "
        "smaller steps with accumulated gradients",
    )
    how.add_argument(
        "--trial-timeout",
        type=positive_float,
        metavar="SECONDS",
        help="stop a trial that takes longer, loading, building and filling the cache included; "
        "it is recorded as failed and the run continues (no limit)",
    )


def _what_to_measure(what: Options) -> None:
    what.add_argument(
        "--runtimes",
        metavar="NAMES",
        help=f"runtimes to time the trained models in: keras (always), and "
        f"{', '.join(RUNTIMES.names[1:])}; or `all`; see `list` (keras)",
    )
    what.add_argument(
        "--latency-seconds",
        type=positive_float,
        metavar="S",
        help="seconds to time one image after another; larger batches get a quarter of it (2)",
    )
    what.add_argument(
        "--robustness",
        action="store_true",
        help="also evaluate the models of all seeds on corrupted test images: blur, noise, JPEG, "
        "brightness, contrast and rotation, in three strengths each",
    )
    what.add_argument(
        "--probes",
        action="store_true",
        help="also fit simple classifiers to the frozen features of each pretrained backbone, "
        "nearest neighbours and a logistic regression, as a baseline for training",
    )
    what.add_argument(
        "--no-heatmaps",
        action="store_false",
        dest="heatmaps",
        help="do not explain mistakes: no heatmaps, nearest training images or map of the test "
        "images",
    )
    what.add_argument(
        "--keep-models",
        choices=KEEP_MODELS,
        help="trained weights to keep for `predict` and `export`: none, those of each backbone's "
        "best seed by validation, or those of all trials; with `all`, the weights of a backbone's "
        "seeds are also averaged into one model, NAME@soup (best)",
    )
    what.add_argument(
        "--keep-artefacts",
        action="store_true",
        help="keep the models converted for --runtimes, in the run's folder models/",
    )


def _where(where: Options) -> None:
    where.add_argument("--run", metavar="NAME", help="name of the run (made from the options)")
    add_shared(where, "--results")
    where.add_argument(
        "--fresh", action="store_true", help="start again; an earlier run of this name is renamed"
    )
    where.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    where.add_argument(
        "--on",
        metavar="EXECUTOR",
        help="where trials run: local (processes on this machine), ray or ray:HOST:PORT (a Ray "
        "cluster), slurm (jobs on a Slurm cluster), or another executor of `list` (local)",
    )
    where.add_argument(
        "--per-trial",
        metavar="cpus=N,gpus=N",
        help="resources of a cluster for each trial (as many cores as --threads, or 1; no GPU)",
    )
    where.add_argument(
        "--ship-data",
        action="store_true",
        help="send decoded images to the nodes of a cluster, which then do not need the data set",
    )
    where.add_argument(
        "--site",
        type=Path,
        metavar="FILE",
        help="a TOML file with options for Slurm jobs: partition, account, time, ...",
    )
    where.add_argument(
        "--detach",
        action="store_true",
        help="exit once all jobs are submitted to Slurm; the same command collects their results",
    )
    where.add_argument(
        "--measure-on",
        metavar="NODE",
        help="node of a cluster to time the models on (this machine)",
    )
