"""Whether a run can be reproduced: its smallest trial trained anew, from what the run stored.

Nothing of the first time is used but the records: images are decoded, the frozen part is computed
and the head is trained again, in a process and a folder of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import convert

from bench.errors import BenchError, DatasetError, WorkerDiedError
from bench.execution.executors.base import Executor
from bench.models.weights import LocatedWeights
from bench.protocol import TrainingProtocol
from bench.storage.cache import Store
from bench.storage.records import Evidence, Run
from bench.training.events import Listener
from bench.training.job import Job
from bench.types import Dataset, Record, SplitName

# A rounding of 32-bit arithmetic is 6e-8: this much may come from another order of additions.
TOLERANCE = 1e-6
COMPARED: tuple[SplitName, ...] = ("test", "validation")


@dataclass(frozen=True)
class Difference:
    """How the second training's answers for one split differ from the first's."""

    images: int
    largest: float  # of any probability
    changed: int  # predicted classes

    @property
    def same(self) -> bool:
        return self.largest <= TOLERANCE and not self.changed


def smallest(run: Run) -> Record:
    """The finished trial that took the least time, of those whose evidence is there."""
    arrays = run.folder / "arrays"
    found = [
        record
        for record in (*run.records, *run.smaller)
        if record.status == "ok" and (arrays / f"{record.trial.key}.npz").is_file()
    ]
    if not found:
        raise BenchError(f"run {run.name} has no finished trial to train again.")
    return min(found, key=lambda record: record.seconds["total"])


def stored_protocol(run: Run, record: Record) -> TrainingProtocol:
    """The protocol as the run stored it, which must be the one that the trial was trained by."""
    protocol = convert(run.meta["protocol"], TrainingProtocol)
    if protocol.digest != record.trial.protocol_digest:
        raise BenchError(
            f"the protocol in run.json of {run.name} has digest {protocol.digest}, the trial was "
            f"trained by {record.trial.protocol_digest}: run.json was changed since."
        )
    return protocol


def check_dataset(dataset: Dataset, record: Record) -> None:
    """The images must be those that the trial was trained on."""
    before = record.trial.dataset_fingerprint
    if dataset.fingerprint != before:
        raise DatasetError(
            f"{dataset.name} is not what the trial was trained on: its fingerprint is "
            f"{dataset.fingerprint[:16]}, it was {before[:16]}. Images, labels or splits have "
            f"changed since."
        )


def train_again(
    run: Run,
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
) -> None:
    """Train the record's trial into `folder`; the listener receives the new record."""
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
    )
    try:
        executor.run(job, listener)
    except WorkerDiedError as error:
        # The folder, and the log in it, will be gone.
        said = [log.read_text(errors="replace") for log in folder.glob("logs/*.log")]
        lines = [line for text in said for line in text.splitlines() if line.strip()]
        last = lines[-1] if lines else "nothing"
        raise BenchError(f"{error} The last that it said: {last}") from error


def differences(before: Evidence, after: Evidence) -> Mapping[SplitName, Difference]:
    """What the two trainings answered for the images that neither was trained on."""
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
