"""Verify that a run can be reproduced: train its fastest trial again and compare probabilities.

Only the stored records are reused: images are decoded, frozen features computed and phases trained
again, in a separate process and folder. The run may come from anybody, so code that it names is not
imported unless this user has run it before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.analysis.environments import ChangedFact, changes
from bench.data import pixels, preparation
from bench.data.audit.result import load_audit
from bench.data.sources import find_source, list_dataset
from bench.errors import (
    BenchError,
    DatasetError,
    NoDatasetError,
    TrialError,
    UsageError,
    WorkerDiedError,
)
from bench.execution.executors import Executor, make_executor
from bench.execution.request import RecordedRequest, RunRequest, recorded_request
from bench.models import weights
from bench.models.rebuild import declared_backbone, keras_backend_of
from bench.models.weights import LocatedWeights
from bench.protocol import TrainingProtocol
from bench.registry import BACKBONES, load_plugins
from bench.storage.cache import Store
from bench.storage.records import Evidence, StoredRun
from bench.system.files import fields_of
from bench.system.plugin_files import unknown_plugins
from bench.training.events import Event, Listener, Note, RecordMade
from bench.training.job import Job
from bench.types import Dataset, Record, SplitName

# A rounding error of float32 is 6e-8; another order of additions may add up to this much.
TOLERANCE = 1e-6
COMPARED: tuple[SplitName, ...] = ("test", "validation")


@dataclass(frozen=True)
class Difference:
    """The difference between the probabilities of two trainings, on one split."""

    images: int
    largest: float  # largest absolute difference of a probability
    changed: int  # images whose predicted class differs

    @property
    def same(self) -> bool:
        return self.largest <= TOLERANCE and not self.changed


@dataclass(frozen=True)
class Verification:
    """The result of training a trial again."""

    differences: Mapping[SplitName, Difference]
    changed: Sequence[ChangedFact]  # versions, machine and code that differ from the first time

    @property
    def same(self) -> bool:
        """Return whether the probabilities are equal within `TOLERANCE`."""
        return all(difference.same for difference in self.differences.values())

    @property
    def exact(self) -> bool:
        """Return whether the probabilities are equal bit for bit."""
        return all(difference.largest == 0 for difference in self.differences.values())


def verify(
    run: StoredRun,
    record: Record,
    listener: Listener,
    executor: Executor | None = None,
    *,
    plugins: Sequence[Path] = (),
    packages: Sequence[str] = (),
) -> Verification:
    """Train the record's trial again and compare; `plugins` and `packages` are this user's."""
    stored_protocol(run, record)
    keras_backend = keras_backend_of(record)
    if (request := recorded_request(run.meta)) is None:
        raise BenchError(
            f"run.json of {run.name} does not hold the run's request, since version 0.1 wrote it; "
            f"run it again to verify it."
        )
    trial = record.trial
    plugins = [
        *plugins,
        *_import_needed_plugins(run, trial.backbone, [Path(path) for path in request.plugins]),
    ]
    backbone = declared_backbone(run, record)
    os.environ["KERAS_BACKEND"] = keras_backend
    with tempfile.TemporaryDirectory(prefix="backbone-bench-verify-") as name:
        folder = Path(name)
        store = Store(folder / "cache")
        dataset = _dataset(run, record, request, store)
        located = weights.locate(
            backbone,
            trial.settings.weights,
            trial.input_size,
            say=lambda text: listener(Note(text)),
        )
        with closing(executor or make_executor(trial.settings, RunRequest())) as training:
            again = train_again(
                run,
                record,
                dataset,
                located,
                folder,
                store,
                training,
                listener,
                plugins=tuple(str(path.resolve()) for path in plugins),
                packages=tuple(packages),
            )
        if again.status == "failed":
            raise TrialError(f"this time the trial failed: {again.reason}")
        classes = run.dataset.classes
        before, after = Evidence(record, classes, run.folder), Evidence(again, classes, folder)
        found = compare_probabilities(before, after)
    return Verification(found, changes(record, again))


def fastest_trial(run: StoredRun) -> Record:
    """Return the record of the finished trial that took the least time and has its arrays."""
    arrays = run.folder / "arrays"
    found = [
        record
        for record in (*run.records, *run.subset_records)
        if record.status == "ok" and (arrays / f"{record.trial.key}.npz").is_file()
    ]
    if not found:
        raise BenchError(f"run {run.name} has no finished trial to train again.")
    return min(found, key=lambda record: record.seconds["total"])


def stored_protocol(run: StoredRun, record: Record) -> TrainingProtocol:
    """Return the protocol in `run.json`; an error if the trial was trained with another."""
    stored = fields_of(run.meta.protocol)
    del stored["digest"]
    protocol = TrainingProtocol(**stored)
    if protocol.digest != record.trial.protocol_digest:
        raise BenchError(
            f"the protocol in run.json of {run.name} has digest {protocol.digest}, but the trial "
            f"was trained with {record.trial.protocol_digest}: run.json was changed since."
        )
    return protocol


def check_dataset(dataset: Dataset, record: Record) -> None:
    """Raise `DatasetError` if the images are not those that the trial was trained on."""
    before = record.trial.dataset_fingerprint
    if dataset.fingerprint != before:
        raise DatasetError(
            f"{dataset.name} has changed since the trial was trained: its fingerprint is "
            f"{dataset.fingerprint[:16]}, it was {before[:16]}. Images, labels or splits differ."
        )


def train_again(
    run: StoredRun,
    record: Record,
    dataset: Dataset,
    weights: LocatedWeights | None,
    folder: Path,
    store: Store,
    executor: Executor,
    listener: Listener,
    *,
    plugins: tuple[str, ...] = (),
    packages: tuple[str, ...] = (),
) -> Record:
    """Train the record's trial again in `folder`; return the new record."""
    job = Job(
        # Accept the code as it is now: the comparison shows whether it changed the predictions.
        trials=(replace(record.trial, code=""),),
        protocol=stored_protocol(run, record),
        dataset=dataset,
        weights=weights,
        folder=str(folder.resolve()),
        store=str(store.root.resolve()),
        store_limit_bytes=store.limit_bytes,
        plugins=plugins,
        packages=packages,
        command=record.command,
        split_seed=record.split_seed,
        accumulation=record.accumulation,
        descriptions=BACKBONES.descriptions([record.trial.backbone]),
    )
    made: list[Record] = []

    def listen(event: Event) -> None:
        if isinstance(event, RecordMade):
            made.append(event.record)
        listener(event)

    try:
        executor.run(job, listen)
    except WorkerDiedError as error:
        # The log is deleted with the folder, so its last line goes into the message.
        logs = [log.read_text(errors="replace") for log in folder.glob("logs/*.log")]
        lines = [line for text in logs for line in text.splitlines() if line.strip()]
        last = lines[-1] if lines else "nothing"
        raise BenchError(f"{error} Its last output: {last}") from error
    return made[-1]


def compare_probabilities(before: Evidence, after: Evidence) -> Mapping[SplitName, Difference]:
    """Compare the probabilities of two trainings on the validation and test sets."""
    found = {}
    for split in COMPARED:
        name = f"{split}_probabilities"
        first, second = before.arrays[name], after.arrays[name]
        found[split] = Difference(
            images=len(first),
            largest=float(np.abs(first - second).max()),
            changed=int((first.argmax(axis=1) != second.argmax(axis=1)).sum()),
        )
    return found


def _import_needed_plugins(
    run: StoredRun, backbone: str, plugins: Sequence[Path]
) -> Sequence[Path]:
    """Import the run's plugins if the backbone needs them; return those imported.

    `UsageError`: this user has not run a plugin with its present content.
    """
    if backbone in BACKBONES:
        return ()
    foreign = unknown_plugins(plugins)
    if foreign:
        raise UsageError(
            f"{backbone} of run {run.name} comes from the plugin {str(foreign[0])!r}, which is not "
            f"imported: no run of yours has used it with its present content.\n"
            f"Read it, and give it with --plugin if you trust it."
        )
    load_plugins(plugins)
    return plugins


def _dataset(run: StoredRun, record: Record, request: RecordedRequest, store: Store) -> Dataset:
    """Find and decode the run's images again; `DatasetError` if they have changed."""
    try:
        source, name = find_source(request.dataset)
        if source.loads_code(name):
            raise BenchError(
                f"run {run.name} uses the data set {request.dataset!r}, whose collection is code "
                f"that is not part of TensorFlow Datasets; it is not loaded, since the run may "
                f"come from anybody."
            )
        listing = list_dataset(
            request.dataset,
            store=store,
            split_seed=request.split_seed,
            limit=request.limit,
            groups=None if request.groups is None else Path(request.groups),
        )
    except NoDatasetError as error:  # not a usage error: the run names the data set
        raise DatasetError(str(error)) from error
    sizes = [record.trial.input_size]
    dataset = preparation.prepare(listing, sizes, store=store)
    audited = load_audit(run.folder)
    if audited is not None and audited.dropped:
        # Leave out the images that the run left out. A new audit might find others: it depends on
        # the image size, which the run's other backbones determined.
        dataset = pixels.drop_images(dataset, audited.dropped, sizes, store=store, note="")
    check_dataset(dataset, record)
    return dataset
