"""From a request to a finished run: the one way, for the command line, notebooks and programs.

    outlook   what the plan will do, without doing it (`--dry-run`)
    decode    images decoded and audited
    carry     train, measure and report
    run       all of it

What is done before an image is decoded is in `preparing.py`. Prints nothing: what a user should see
is sent to the listener as events (`training/events.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import reports
from bench.data import preparation, thumbnails
from bench.data.audit import gate
from bench.data.audit.result import KeptAudit
from bench.data.listing import undecoded
from bench.errors import DetachedError, reason
from bench.execution.executors import Executor, make_executor
from bench.execution.finished_run import Run
from bench.execution.preparing import Preparation, prepare
from bench.execution.progress import Planned, RunListener
from bench.execution.request import RunRequest
from bench.execution.run import carry_out, opened
from bench.execution.run_meta import RunInputs
from bench.execution.status import ProgressFile
from bench.storage.run_folder import run_folder
from bench.training.events import (
    Interrupted,
    TaskEnded,
    TaskProgress,
    TrainingStarted,
    Warned,
    WritingReports,
)
from bench.types import Dataset, Settings

if TYPE_CHECKING:
    from bench.analysis.findings import Findings
    from bench.reports.blocks import Section


def outlook(request: RunRequest, listener: RunListener) -> Planned:
    """Return what `run` would do; nothing is decoded, downloaded or written. Which images are
    unusable, or copies, and which trials are done, is known where an earlier run decoded them."""
    prepared = prepare(request, listener, fetching=False)
    dataset = preparation.recall(prepared.listing, prepared.sizes, store=prepared.store)
    if dataset is None:
        plan = prepared.plan(undecoded(prepared.listing))
        folder = request.results / (request.run or "(named after the images' content)")
        found = Planned(plan, plan.trials, (), folder, None, decoded=False)
    else:
        found = prepared.outlook(*_audited(prepared, dataset, listener))
    listener(found)
    found.plan.refuse_empty()
    return found


def run(request: RunRequest, listener: RunListener, executor: Executor | None = None) -> Run:
    """Do what is asked for, as far as it is not done, and return the run with its findings;
    `DetachedError` where jobs are left to go on without this process.

    `executor` runs the trials, and is closed at the end; None: the one that the request names.
    """
    with ready(request, listener, executor) as (prepared, working):
        return carry(prepared, decode(prepared, listener), working, listener)


@contextmanager
def ready(
    request: RunRequest, listener: RunListener, executor: Executor | None
) -> Iterator[tuple[Preparation, Executor]]:
    """Prepare what is asked for while the executor warms up; it is closed at the end."""

    def start(settings: Settings) -> Sequence[str]:
        nonlocal executor
        executor = executor or make_executor(settings, request)
        executor.warm_up()
        return executor.notes

    try:
        prepared = prepare(request, listener, started=start)
        assert executor is not None  # it was started
        yield prepared, executor
    finally:
        if executor is not None:
            executor.close()


@dataclass(frozen=True)
class DecodedImages:
    """The images of a run, decoded; those to train on, if the audit left some out."""

    dataset: Dataset
    trained: Dataset
    audit: KeptAudit | None


def decode(prepared: Preparation, listener: RunListener) -> DecodedImages:
    """Decode the images to all sizes, and audit them."""
    dataset = preparation.prepare(
        prepared.listing,
        prepared.sizes,
        store=prepared.store,
        progress=lambda done, total: listener(TaskProgress("decoding images", done, total)),
    )
    listener(TaskEnded("decoding images"))
    return DecodedImages(dataset, *_audited(prepared, dataset, listener))


def carry(
    prepared: Preparation,
    images: DecodedImages,
    executor: Executor,
    listener: RunListener,
    files: Mapping[str, bytes] | None = None,
    progress: ProgressFile | None = None,
) -> Run:
    """Do what is not done of the plan, and report; `files` are kept in the run's folder. `progress`
    is of a caller that has locked the folder."""
    request, store = prepared.request, prepared.store
    dataset, trained, audit, sizes = images.dataset, images.trained, images.audit, prepared.sizes
    outlook = prepared.outlook(trained, audit)
    listener(outlook)
    plan = outlook.plan
    plan.refuse_empty()
    folder = run_folder(request.results, outlook.folder.name, fresh=request.fresh)
    inputs = RunInputs(
        plan,
        folder,
        request,
        store,
        notes=prepared.notes,
        broken_plugins=prepared.broken_plugins,
        files={**gate.files(audit, dataset, sizes, store=store), **(files or {})},
        restore=lambda: prepared.restore(trained),
    )

    def write_reports() -> tuple[Findings, list[Section]]:
        listener(WritingReports())
        from bench.reports.sections import sections

        findings = reports.read(folder)
        shown = sections(findings)
        for split, places in reports.shown_images(findings).items():
            thumbnails.keep(folder, places, trained, sizes, store, split)
        reports.write(findings, shown, latex=request.latex)
        reports.point_latest(request.results, folder.name)
        reports.write_index(request.results)
        return findings, shown

    told = progress or ProgressFile(folder, listener)
    with opened(inputs, locked=progress is not None) as remaining, told as listener:
        listener(TrainingStarted())
        try:
            remaining = carry_out(inputs, remaining, executor, listener)
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
        findings, shown = write_reports()
    incomplete = (
        bool(plan.skipped or prepared.broken_plugins or prepared.failed_downloads)
        # Something was asked to be measured that was not, and the run is done.
        or bool(remaining.undone() or remaining.unmeasured())
        or reports.incomplete(findings, {trial.key for trial in plan.trials})
    )
    return Run(folder, findings, shown, incomplete=incomplete)


def _audited(
    prepared: Preparation, dataset: Dataset, listener: RunListener
) -> tuple[Dataset, KeptAudit | None]:
    """Return the images to train on, and what the audit found, if there is one."""
    request = prepared.request
    if not request.audit:
        return dataset, None
    task = "looking for copies"
    trained, audit = gate.pass_through(
        prepared.listing,
        dataset,
        prepared.sizes,
        store=prepared.store,
        on_leak=request.on_leak,
        progress=lambda stage, done, total: listener(TaskProgress(task, done, total, stage)),
    )
    listener(TaskEnded(task))
    return trained, audit
