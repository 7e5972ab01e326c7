"""`run`: from what was asked to the report, in order."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from bench import data as datasets
from bench import reports as report
from bench.cli.commands import dry_run
from bench.cli.commands.opening import open_report
from bench.cli.commands.plan_text import show_audit, show_plan
from bench.cli.display import Display
from bench.data import thumbnails
from bench.data.audit import gate
from bench.errors import Exit, UsageError, reason
from bench.execution import known_plugins
from bench.execution.estimate import matrix_rate
from bench.execution.executors import make_executor
from bench.execution.executors.base import Executor
from bench.execution.plan import (
    Plan,
    choose_backbones,
    find_weights,
    first_blueprint,
    make_plan,
    size_of,
)
from bench.execution.remaining import kept_records, pending, undone, unmeasured
from bench.execution.run import Request, carry_out, opened
from bench.inference.runtimes import choose_runtimes
from bench.protocol import TrainingProtocol, load_protocol
from bench.registry import load_plugins
from bench.storage.cache import Store
from bench.storage.file_digests import FileDigests
from bench.storage.run_folder import check_name, run_folder
from bench.system.command_line import called
from bench.types import Backbone, Dataset, Measuring, Settings

if TYPE_CHECKING:
    from bench.analysis.findings import Findings


def main(arguments: argparse.Namespace) -> int:
    """Plan, run, report; the exit code says whether all of it was done."""
    console = Console(quiet=arguments.quiet, highlight=False)
    errors = Console(stderr=True, highlight=False)
    broken = [str(e) for e in load_plugins(arguments.plugin, arguments.packages)]
    for line in broken:
        errors.print(f"warning: {line}", style="yellow", markup=False, soft_wrap=True)
    if arguments.run is not None:
        check_name(arguments.run)
    if not arguments.dry_run:
        known_plugins.remember(arguments.plugin)
    store = Store(arguments.cache, int(arguments.cache_gb * 1e9), read_only=arguments.dry_run)
    backbones = choose_backbones(arguments.backbones)
    protocol = load_protocol(arguments.protocol)
    settings = Settings(
        weights=arguments.weights,
        batch_size=arguments.batch_size or protocol.batch_size,
        device=arguments.device,
        cache=not arguments.no_cache,
        tune=arguments.tune,
        deterministic=arguments.deterministic,
        precision=arguments.precision,
        threads=arguments.threads,
    )
    executor = arguments.executor or make_executor(settings, arguments.trial_timeout)
    if not arguments.dry_run:
        executor.warm_up()
    try:
        return _run(
            arguments, console, errors, backbones, protocol, settings, store, executor, broken
        )
    finally:
        executor.close()


def _run(
    arguments: argparse.Namespace,
    console: Console,
    errors: Console,
    backbones: Sequence[Backbone],
    protocol: TrainingProtocol,
    settings: Settings,
    store: Store,
    executor: Executor,
    broken: Sequence[str],
) -> int:
    notes: list[str] = []
    failed_downloads: list[str] = []

    def say(text: str) -> None:
        notes.append(text)
        console.print(text, style="yellow", markup=False, soft_wrap=True)

    measuring = Measuring(
        latency_seconds=arguments.latency_seconds,
        runtimes=arguments.runtimes,
        robustness=arguments.robustness,
    )
    for text in (*choose_runtimes(measuring.runtimes)[1], *executor.notes):
        say(text)
    listing = datasets.list_dataset(
        arguments.dataset,
        store=store,
        split_seed=arguments.split_seed,
        limit=arguments.limit,
        groups=arguments.groups,
        say=say,
    )
    console.print(f"dataset   {listing.description}", markup=False, soft_wrap=True)
    sizes = sorted({size_of(b, protocol, arguments.input_size) for b in backbones})
    with Progress(console=console, transient=True) as bars:
        fetching = bars.add_task("weights", total=None)
        found = find_weights(
            backbones,
            protocol,
            settings.weights,
            arguments.input_size,
            say=say,
            progress=lambda done, total: bars.update(fetching, completed=done, total=total),
            fetching=not arguments.dry_run,
            failed=failed_downloads.append,
            digests=FileDigests(store.root / "file-digests.json", read_only=store.read_only),
        )
        bars.remove_task(fetching)
    if arguments.no_audit:
        say(gate.NONE)
    rate = matrix_rate()  # before the worker builds, which would slow it

    def plan_over(dataset: Dataset) -> Plan:
        plan = make_plan(
            backbones,
            dataset,
            protocol,
            settings,
            arguments.seeds or (arguments.seed,),
            input_size=arguments.input_size,
            keras_backend=os.environ.get("KERAS_BACKEND", "tensorflow"),
            rate=rate,
            located=found,
            fractions=arguments.fractions,
            measuring=measuring,
        )
        images = int(len(dataset.splits["train"]) * min(arguments.fractions))
        if settings.batch_size > images:
            say(
                f"batches of {settings.batch_size} are more than the {images} training images, so "
                "an epoch is a single step on all of them; --batch-size makes smaller ones."
            )
        return plan

    if arguments.dry_run:
        return dry_run.show(arguments, console, listing, sizes, store, plan_over)
    with Progress(console=console, transient=True) as bars:
        first = first_blueprint(
            backbones,
            len(listing.classes),
            protocol,
            settings,
            input_size=arguments.input_size,
            located=found,
            plugins=arguments.plugin,
            packages=arguments.packages,
        )
        if datasets.recall(listing, sizes, store=store) is None:
            executor.build_ahead(first)  # while the images are decoded
        decoding = bars.add_task("decoding images", total=None)
        dataset = datasets.prepare(
            listing,
            sizes,
            store=store,
            progress=lambda done, total: bars.update(decoding, completed=done, total=total),
        )
        bars.remove_task(decoding)
        trained, audited = dataset, None
        if not arguments.no_audit:
            auditing = bars.add_task("looking for copies", total=None)
            trained, audited = gate.pass_through(
                listing,
                dataset,
                sizes,
                store=store,
                on_leak=arguments.on_leak,
                progress=lambda stage, done, total: bars.update(
                    auditing, description=stage, completed=done, total=total
                ),
            )
    plan = plan_over(trained)
    name = arguments.run or plan.name
    folder = arguments.results / name
    waiting = plan.trials if arguments.fresh else pending(plan, folder)
    left = [] if arguments.fresh else unmeasured(plan, folder, kept_records(plan, folder))
    names = {trial.backbone for trial in left}
    show_plan(*(console, plan, waiting, str(folder)), unmeasured=names, verbose=arguments.verbose)
    show_audit(console, audited)
    if left:
        console.print(f"measure   {len(left)} trials that are trained already")
    if not plan.planned:
        raise UsageError("none of the backbones asked for can be run; the reasons stand above.")

    folder = run_folder(arguments.results, name, fresh=arguments.fresh)
    request = Request(
        command=(called(), *arguments.words),
        notes=notes,
        broken_plugins=broken,
        plugins=[str(p) for p in arguments.plugin],
        packages=arguments.packages,
        split_seed=arguments.split_seed,
        keep_models=arguments.keep_models,
        keep_artefacts=arguments.keep_artefacts,
        retry=not arguments.no_retry,
        price_per_hour=arguments.price_per_hour,
        margin=arguments.margin,
        files=gate.files(audited, dataset, sizes, store=store),
        restore=lambda: datasets.restore(listing, trained, sizes, store=store),
    )

    def write_reports() -> Findings:
        with console.status("writing the reports"):
            findings = report.read(folder)
            thumbnails.keep(folder, report.shown_images(findings), dataset, sizes, store)
            report.write(findings, latex=arguments.latex)
            report.point_latest(arguments.results, name)
            report.write_index(arguments.results)
        return findings

    with opened(plan, folder, request, store):
        try:
            with Display(console, quiet=arguments.quiet) as display:
                records = carry_out(plan, folder, request, store, executor, display)
        except BaseException as end:
            # An interrupted run is reported too, as far as it went; why it ended comes first.
            if isinstance(end, KeyboardInterrupt):
                errors.print("interrupted; writing the reports (Ctrl-C once more: without them)")
            try:
                write_reports()
            except Exception as error:
                text = f"warning: the reports could not be written: {reason(error)}"
                errors.print(text, style="yellow", markup=False, soft_wrap=True)
            raise
        findings = write_reports()
    # The result is printed even with --quiet: it is what was asked for.
    report.show(findings, Console(highlight=False))
    if arguments.open:
        open_report(folder, Console(stderr=True, highlight=False))
    print(f"report    {folder / 'report.md'}")
    asked = {record.trial.key for record in records}
    unmade = undone(plan, folder) or unmeasured(plan, folder, {r.trial.key: r for r in records})
    incomplete = unmade or report.incomplete(findings, asked)
    if plan.skipped or broken or failed_downloads or incomplete:
        return Exit.INCOMPLETE
    return Exit.DONE
