"""From a request to a finished run, for the command line, notebooks and programs.

    preview         return what the run would do, without doing it (`--dry-run`)
    decode          decode and audit the images
    run_prepared    train, measure and report
    run             all of it

The steps before decoding are in `preparing.py`. Nothing is printed: messages and progress go to the
listener as events (`training/events.py`).
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
from bench.data.listing import undecoded_dataset
from bench.errors import DetachedError, failure_reason
from bench.execution.executors import Executor, make_executor
from bench.execution.finished_run import Run
from bench.execution.preparing import Preparation, prepare
from bench.execution.progress import RunListener, RunPreview
from bench.execution.request import RunRequest
from bench.execution.run import execute_plan, open_run
from bench.execution.run_meta import RunInputs
from bench.execution.status import ProgressFile
from bench.storage.run_folder import prepare_run_folder
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


def preview(request: RunRequest, listener: RunListener) -> RunPreview:
    """Return what `run` would do; nothing is decoded, downloaded or written.

    Unusable images, duplicates and finished trials are known only if an earlier run has decoded the
    images.
    """
    prepared = prepare(request, listener, fetching=False)
    dataset = preparation.load_prepared(prepared.listing, prepared.sizes, store=prepared.store)
    if dataset is None:
        plan = prepared.plan(undecoded_dataset(prepared.listing))
        folder = request.results / (request.run or "(named after the images' content)")
        found = RunPreview(plan, plan.trials, (), folder, None, decoded=False)
    else:
        found = prepared.preview(*_audit(prepared, dataset, listener))
    listener(found)
    found.plan.refuse_empty()
    return found


def run(request: RunRequest, listener: RunListener, executor: Executor | None = None) -> Run:
    """Run what is requested and not done yet; return the run with its findings.

    `executor` runs the trials and is closed at the end; None: the one that the request names.
    `DetachedError`: jobs continue on the cluster without this process.
    """
    with prepare_with_executor(request, listener, executor) as (prepared, started):
        return run_prepared(prepared, decode(prepared, listener), started, listener)


@contextmanager
def prepare_with_executor(
    request: RunRequest, listener: RunListener, executor: Executor | None
) -> Iterator[tuple[Preparation, Executor]]:
    """Prepare the request while the executor warms up; close the executor at the end."""

    def start(settings: Settings) -> Sequence[str]:
        nonlocal executor
        executor = executor or make_executor(settings, request)
        executor.warm_up()
        return executor.notes

    try:
        prepared = prepare(request, listener, started=start)
        assert executor is not None  # set by `start`
        yield prepared, executor
    finally:
        if executor is not None:
            executor.close()


@dataclass(frozen=True)
class DecodedImages:
    """The decoded images of a run, and the audit of them."""

    dataset: Dataset
    audited: Dataset  # without the images that the audit left out
    audit: KeptAudit | None  # None: not requested


def decode(prepared: Preparation, listener: RunListener) -> DecodedImages:
    """Decode the images to all input sizes, and audit them."""
    dataset = preparation.prepare(
        prepared.listing,
        prepared.sizes,
        store=prepared.store,
        progress=lambda done, total: listener(TaskProgress("decoding images", done, total)),
    )
    listener(TaskEnded("decoding images"))
    return DecodedImages(dataset, *_audit(prepared, dataset, listener))


def run_prepared(
    prepared: Preparation,
    images: DecodedImages,
    executor: Executor,
    listener: RunListener,
    files: Mapping[str, bytes] | None = None,
    progress: ProgressFile | None = None,
) -> Run:
    """Train and measure what remains of the plan, and write the reports.

    `files` are written into the run's folder, by path in it. `progress` is given by a caller that
    has locked the folder; None: lock it here.
    """
    request, store = prepared.request, prepared.store
    dataset, audited, audit, sizes = images.dataset, images.audited, images.audit, prepared.sizes
    planned = prepared.preview(audited, audit)
    listener(planned)
    plan = planned.plan
    plan.refuse_empty()
    folder = prepare_run_folder(request.results, planned.folder.name, fresh=request.fresh)
    inputs = RunInputs(
        plan,
        folder,
        request,
        store,
        notes=prepared.notes,
        broken_plugins=prepared.broken_plugins,
        files={**gate.audit_files(audit, dataset, sizes, store=store), **(files or {})},
        restore=lambda: prepared.restore(audited),
    )

    def write_reports() -> tuple[Findings, list[Section]]:
        listener(WritingReports())
        from bench.reports.sections import sections

        findings = reports.read(folder)
        shown = sections(findings)
        for split, places in reports.shown_images(findings).items():
            thumbnails.store_thumbnails(folder, places, audited, sizes, store, split)
        reports.write(findings, shown, latex=request.latex)
        reports.point_latest(request.results, folder.name)
        reports.write_index(request.results)
        return findings, shown

    tracked = progress or ProgressFile(folder, listener)
    with open_run(inputs, locked=progress is not None) as remaining, tracked as listener:
        listener(TrainingStarted())
        try:
            remaining = execute_plan(inputs, remaining, executor, listener)
        except DetachedError:
            raise  # there is nothing new to report
        except BaseException as end:
            # The reports of an interrupted run show what is done; the error itself comes first.
            if isinstance(end, KeyboardInterrupt):
                listener(Interrupted())
            try:
                write_reports()
            except Exception as error:
                listener(Warned(f"the reports could not be written: {failure_reason(error)}"))
            raise
        findings, shown = write_reports()
    incomplete = (
        bool(plan.skipped or prepared.broken_plugins or prepared.failed_downloads)
        # A requested measurement is missing, although the run is done.
        or bool(remaining.describe_unmeasurable() or remaining.unmeasured())
        or reports.is_incomplete(findings, {trial.key for trial in plan.trials})
    )
    return Run(folder, findings, shown, incomplete=incomplete)


def _audit(
    prepared: Preparation, dataset: Dataset, listener: RunListener
) -> tuple[Dataset, KeptAudit | None]:
    """Return the images to train on and the audit; None: it is not requested."""
    request = prepared.request
    if not request.audit:
        return dataset, None
    task = "looking for copies"
    audited, audit = gate.audit_dataset(
        prepared.listing,
        dataset,
        prepared.sizes,
        store=prepared.store,
        on_leak=request.on_leak,
        progress=lambda stage, done, total: listener(TaskProgress(task, done, total, stage)),
    )
    listener(TaskEnded(task))
    return audited, audit
