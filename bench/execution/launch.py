"""From a request to a finished run: the one way, for the command line, notebooks and programs.

    prepare   what is asked for becomes a plan: plugins, protocol, images listed, weights located
    outlook   what the plan will do, without doing it (`--dry-run`)
    run       decode, audit, train, measure and report

Prints nothing: what a user should see is sent to the listener as events (`training/events.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import reports
from bench.analysis.findings import Findings
from bench.data import preparation, thumbnails
from bench.data.audit import gate
from bench.data.audit.result import KeptAudit
from bench.data.listing import Listing, undecoded
from bench.data.sources import list_dataset
from bench.errors import DetachedError, UsageError, reason
from bench.execution import known_plugins
from bench.execution.estimate import matrix_rate
from bench.execution.executors import Executor, make_executor
from bench.execution.finished_run import Run
from bench.execution.plan import Plan, at_sizes, choose_backbones, find_weights, make_plan
from bench.execution.progress import Planned, RunListener
from bench.execution.request import RunRequest
from bench.execution.run import carry_out, opened
from bench.execution.run_meta import RunInputs, faults, kept_records, pending, undone, unmeasured
from bench.execution.status import ProgressFile
from bench.inference.runtimes import choose_runtimes
from bench.models.weights import LocatedWeights
from bench.protocol import TrainingProtocol, load_protocol
from bench.registry import load_plugins
from bench.storage.cache import Store
from bench.storage.file_digests import FileDigests
from bench.storage.run_folder import check_name, run_folder
from bench.training.events import (
    DatasetListed,
    Interrupted,
    Note,
    TaskEnded,
    TaskProgress,
    TrainingStarted,
    Warned,
    WritingReports,
)
from bench.types import Backbone, Dataset, Record, Settings


@dataclass(frozen=True)
class Preparation:
    """A request with all that is known before an image is decoded."""

    request: RunRequest
    backbones: Sequence[Backbone]
    protocol: TrainingProtocol
    settings: Settings
    store: Store
    listing: Listing
    located: dict[tuple[str, int], LocatedWeights | None]
    matrix_rate: float
    notes: list[str]
    broken_plugins: Sequence[str]
    failed_downloads: Sequence[str]
    say: Callable[[str], None] = field(repr=False)

    @property
    def sizes(self) -> list[int]:
        """Return the input sizes that images are decoded to."""
        asked = self.request.input_size
        return sorted({size for _, size in at_sizes(self.backbones, self.protocol, asked)})

    def plan(self, dataset: Dataset) -> Plan:
        """Lay out the trials over these images."""
        request = self.request
        plan = make_plan(
            self.backbones,
            dataset,
            self.protocol,
            self.settings,
            request.seeds,
            input_sizes=request.input_size,
            keras_backend=os.environ.get("KERAS_BACKEND", "tensorflow"),
            rate=self.matrix_rate,
            located=self.located,
            fractions=request.fractions,
            measuring=request.measuring,
        )
        images = int(len(dataset.splits["train"]) * min(request.fractions))
        if self.settings.batch_size > images:
            self.say(
                f"A batch of {self.settings.batch_size} is more than the {images} training images, "
                "so an epoch is a single step on all of them; give a smaller --batch-size."
            )
        return plan

    def outlook(self, plan: Plan, audit: KeptAudit | None, *, decoded: bool = True) -> Planned:
        """Compare the plan with what its folder already holds."""
        request = self.request
        if not decoded:  # the run's name depends on the images' content
            name = request.run or "(named after the images' content)"
            return Planned(plan, tuple(plan.trials), (), request.results / name, None, False)
        folder = request.results / (request.run or plan.name)
        if request.fresh:
            return Planned(plan, tuple(plan.trials), (), folder, audit)
        damaged = faults(plan, folder)
        left = unmeasured(plan, folder, kept_records(plan, folder, damaged))
        waiting = pending(plan, folder, damaged)
        return Planned(plan, tuple(waiting), tuple(left), folder, audit)


def prepare(
    request: RunRequest,
    listener: RunListener,
    *,
    fetching: bool = True,
    started: Callable[[Settings], Sequence[str]] = lambda settings: (),
) -> Preparation:
    """Read what is asked for; `started` is called as soon as the settings are known, and returns
    notes. Without `fetching` nothing is downloaded and nothing written."""
    broken = [str(error) for error in load_plugins(request.plugins, request.packages)]
    for line in broken:
        listener(Warned(line))
    if request.run is not None:
        check_name(request.run)
    if fetching:
        known_plugins.remember(request.plugins)
    store = Store(request.cache, int(request.cache_gb * 1e9), read_only=not fetching)
    backbones = choose_backbones(request.backbones)
    protocol = load_protocol(request.protocol)
    settings = request.settings(protocol.batch_size)
    notes: list[str] = []
    failed_downloads: list[str] = []

    def say(text: str) -> None:
        notes.append(text)
        listener(Note(text))

    for text in (*started(settings), *choose_runtimes(request.runtimes)[1]):
        say(text)
    listing = list_dataset(
        request.dataset,
        store=store,
        split_seed=request.split_seed,
        limit=request.limit,
        groups=request.groups,
        say=say,
    )
    listener(DatasetListed(listing.description))
    located = find_weights(
        backbones,
        protocol,
        settings.weights,
        request.input_size,
        say=say,
        progress=lambda done, total: listener(TaskProgress("weights", done, total)),
        fetching=fetching,
        failed=failed_downloads.append,
        digests=FileDigests(store.root / "file-digests.json", read_only=store.read_only),
    )
    listener(TaskEnded("weights"))
    if not request.audit:
        say(gate.NONE)
    return Preparation(
        request,
        backbones,
        protocol,
        settings,
        store,
        listing,
        located,
        matrix_rate(),  # before the worker builds, which would slow it
        notes,
        broken,
        failed_downloads,
        say,
    )


def outlook(request: RunRequest, listener: RunListener) -> Planned:
    """Return what `run` would do; nothing is decoded, downloaded or written. Which images are
    unusable, or copies, and which trials are done, is known where an earlier run decoded them."""
    prepared = prepare(request, listener, fetching=False)
    dataset = preparation.recall(prepared.listing, prepared.sizes, store=prepared.store)
    if dataset is None:
        plan = prepared.plan(undecoded(prepared.listing))
        found = prepared.outlook(plan, None, decoded=False)
    else:
        trained, audit = _audited(prepared, dataset, listener)
        found = prepared.outlook(prepared.plan(trained), audit)
    listener(found)
    _refuse_empty(found.plan)
    return found


def run(request: RunRequest, listener: RunListener, executor: Executor | None = None) -> Run:
    """Do what is asked for, as far as it is not done, and return the run with its findings;
    `DetachedError` where jobs are left to go on without this process.

    `executor` runs the trials, and is closed at the end; None: the one that the request names.
    """
    executors = [executor] if executor else []

    def start(settings: Settings) -> Sequence[str]:
        if not executors:
            executor = make_executor(
                settings,
                request.trial_timeout,
                on=request.on,
                per_trial=request.per_trial,
                ship_data=request.ship_data,
                site=request.site,
                detach=request.detach,
                measure_on=request.measure_on,
            )
            executors.append(executor)
        (executor,) = executors
        executor.warm_up()
        return executor.notes

    try:
        prepared = prepare(request, listener, started=start)
        return _run(prepared, executors[0], listener)
    finally:
        for started in executors:
            started.close()


def _run(prepared: Preparation, executor: Executor, listener: RunListener) -> Run:
    request, store = prepared.request, prepared.store
    listing, sizes = prepared.listing, prepared.sizes
    dataset = preparation.prepare(
        listing,
        sizes,
        store=store,
        progress=lambda done, total: listener(TaskProgress("decoding images", done, total)),
    )
    listener(TaskEnded("decoding images"))
    trained, audit = _audited(prepared, dataset, listener)
    outlook = prepared.outlook(prepared.plan(trained), audit)
    listener(outlook)
    plan = outlook.plan
    _refuse_empty(plan)
    folder = run_folder(request.results, outlook.folder.name, fresh=request.fresh)
    inputs = RunInputs(
        plan,
        folder,
        request,
        store,
        notes=prepared.notes,
        broken_plugins=prepared.broken_plugins,
        files=gate.files(audit, dataset, sizes, store=store),
        restore=lambda: preparation.restore(listing, trained, sizes, store=store),
    )

    def write_reports() -> Findings:
        listener(WritingReports())
        findings = reports.read(folder)
        for split, places in reports.shown_images(findings).items():
            thumbnails.keep(folder, places, trained, sizes, store, split)
        reports.write(findings, latex=request.latex)
        reports.point_latest(request.results, folder.name)
        reports.write_index(request.results)
        return findings

    with opened(inputs), ProgressFile(folder, listener) as listener:
        listener(TrainingStarted())
        try:
            records = carry_out(inputs, executor, listener)
        except DetachedError:
            raise  # at once; there is nothing new to report
        except BaseException as end:
            # An interrupted run is reported too, as far as it went; why it ended comes first.
            if isinstance(end, KeyboardInterrupt):
                listener(Interrupted())
            try:
                write_reports()
            except Exception as error:
                listener(Warned(f"the reports could not be written: {reason(error)}"))
            raise
        findings = write_reports()
    asked = {record.trial.key for record in records}
    incomplete = (
        bool(plan.skipped or prepared.broken_plugins or prepared.failed_downloads)
        or _is_unmade(plan, folder, records)
        or reports.incomplete(findings, asked)
    )
    return Run(folder, findings, incomplete=incomplete)


def _audited(
    prepared: Preparation, dataset: Dataset, listener: RunListener
) -> tuple[Dataset, KeptAudit | None]:
    """Return the images to train on, and what the audit found, if there is one."""
    request = prepared.request
    if not request.audit:
        return dataset, None
    task = "looking for copies"

    def progress(stage: str, done: int, total: int) -> None:
        listener(TaskProgress(task, done, total, stage))

    trained, audit = gate.pass_through(
        prepared.listing,
        dataset,
        prepared.sizes,
        store=prepared.store,
        on_leak=request.on_leak,
        progress=progress,
    )
    listener(TaskEnded(task))
    return trained, audit


def _refuse_empty(plan: Plan) -> None:
    if not plan.planned:
        raise UsageError("none of the backbones asked for can be run; see the reasons above.")


def _is_unmade(plan: Plan, folder: Path, records: Sequence[Record]) -> bool:
    """Return whether something was asked to be measured that was not; the run is done."""
    by_key = {record.trial.key: record for record in records}
    return bool(undone(plan, folder, {}) or unmeasured(plan, folder, by_key))
