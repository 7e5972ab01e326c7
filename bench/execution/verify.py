"""Whether a run can be reproduced: its smallest trial trained anew, from what the run stored.

Nothing of the first time is used but the records: images are decoded, the frozen part is computed
and the head is trained again, in a process and a folder of their own. A run may be anybody's, so
none of the code that it names is imported unless this user has run it before.
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

# A rounding of 32-bit arithmetic is 6e-8: this much may come from another order of additions.
TOLERANCE = 1e-6
COMPARED: tuple[SplitName, ...] = ("test", "validation")


@dataclass(frozen=True)
class Difference:
    """How the probabilities of the second training differ from the first's, for one split."""

    images: int
    largest: float  # of any probability
    changed: int  # predicted classes

    @property
    def same(self) -> bool:
        return self.largest <= TOLERANCE and not self.changed


@dataclass(frozen=True)
class Verification:
    """What came out when a trial was trained again."""

    differences: Mapping[SplitName, Difference]
    changed: Sequence[ChangedFact]  # since the first time: versions, machine, code

    @property
    def same(self) -> bool:
        """Return whether the probabilities are the same, to a rounding."""
        return all(difference.same for difference in self.differences.values())

    @property
    def exact(self) -> bool:
        """Return whether they are the same bit for bit."""
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
    """Train the record's trial again, and compare; `plugins` are those that this user names."""
    stored_protocol(run, record)
    keras_backend = keras_backend_of(record)
    if (request := recorded_request(run.meta)) is None:
        raise BenchError(
            f"run.json of {run.name} does not hold what the run was asked for, as version 0.1 left "
            f"it; run it again to verify it."
        )
    trial = record.trial
    plugins = [
        *plugins,
        *_recorded_plugins(run, trial.backbone, [Path(path) for path in request.plugins]),
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
        found = differences(Evidence(record, classes, run.folder), Evidence(again, classes, folder))
    return Verification(found, changes(record, again))


def smallest(run: StoredRun) -> Record:
    """Return the finished trial that took the least time, of those whose arrays exist."""
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
    """Return the protocol that the run stored; an error where the trial was trained by another."""
    stored = fields_of(run.meta.protocol)
    del stored["digest"]
    protocol = TrainingProtocol(**stored)
    if protocol.digest != record.trial.protocol_digest:
        raise BenchError(
            f"the protocol in run.json of {run.name} has digest {protocol.digest}, the trial was "
            f"trained by {record.trial.protocol_digest}: run.json was changed since."
        )
    return protocol


def check_dataset(dataset: Dataset, record: Record) -> None:
    """Raise `DatasetError` where the images are not those that the trial was trained on."""
    before = record.trial.dataset_fingerprint
    if dataset.fingerprint != before:
        raise DatasetError(
            f"{dataset.name} is not what the trial was trained on: its fingerprint is "
            f"{dataset.fingerprint[:16]}, it was {before[:16]}. Images, labels or splits have "
            f"changed since."
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
    """Train the record's trial into `folder`; return the new record."""
    job = Job(
        # Whatever its code is now: where that changed the answers, they differ.
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
        # The folder, and the log in it, will be gone.
        said = [log.read_text(errors="replace") for log in folder.glob("logs/*.log")]
        lines = [line for text in said for line in text.splitlines() if line.strip()]
        last = lines[-1] if lines else "nothing"
        raise BenchError(f"{error} The last that it said: {last}") from error
    return made[-1]


def differences(before: Evidence, after: Evidence) -> Mapping[SplitName, Difference]:
    """Compare the probabilities of both trainings on the validation and test images."""
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


def _recorded_plugins(run: StoredRun, backbone: str, plugins: Sequence[Path]) -> Sequence[Path]:
    """Import the plugins that the run names if they are needed, and if this user has run them."""
    if backbone in BACKBONES:
        return ()
    foreign = unknown_plugins(plugins)
    if foreign:
        raise UsageError(
            f"{backbone} of run {run.name} comes from the plugin {str(foreign[0])!r}, which is not "
            f"imported: as it is now, no run of yours has used it.\n"
            f"Read it, and name it with --plugin if it is to run."
        )
    load_plugins(plugins)
    return plugins


def _dataset(run: StoredRun, record: Record, request: RecordedRequest, store: Store) -> Dataset:
    """Return the images, found again where the run found them and checked to be the same."""
    try:
        source, name = find_source(request.dataset)
        if source.loads_code(name):
            raise BenchError(
                f"run {run.name} names the data set {request.dataset!r}: collections other than "
                f"that of TensorFlow Datasets are code, which is not loaded for a run that may be "
                f"anybody's."
            )
        listing = list_dataset(
            request.dataset,
            store=store,
            split_seed=request.split_seed,
            limit=request.limit,
            groups=None if request.groups is None else Path(request.groups),
        )
    except NoDatasetError as error:  # the run named it, not this command
        raise DatasetError(str(error)) from error
    sizes = [record.trial.input_size]
    dataset = preparation.prepare(listing, sizes, store=store)
    audited = load_audit(run.folder)
    if audited is not None and audited.dropped:
        # What the run left out then, not what an audit would leave out now: that depends on the
        # size at which it looks, which other backbones of the run decided.
        dataset = pixels.drop_images(dataset, audited.dropped, sizes, store=store, note="")
    check_dataset(dataset, record)
    return dataset
