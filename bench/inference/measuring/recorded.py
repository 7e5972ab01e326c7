"""Write the figures of one model in one runtime to the records of all seeds of its backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.inference.measuring.memory import MemoryUse
from bench.inference.measuring.pending import with_results
from bench.inference.runtimes import ModelSource
from bench.models.backends.base import Array
from bench.storage.arrays import write_arrays
from bench.storage.records import StoredRun
from bench.training.events import Listener, Note, RecordMeasured
from bench.types import STANDS_IN, Record, RuntimeResult, Session

SHARED_NOTE = f"timed with seed {{seed}} of this backbone, which {STANDS_IN}"


@dataclass
class MeasuredModel:
    """One trained model, and the records that get its figures; the first is the model's own."""

    records: list[Record]
    runtimes: tuple[str, ...]  # names of the runtimes to time it in
    source: ModelSource
    float32: ModelSource  # for conversion, where the runtime determines the precision
    images: Array  # test images
    expected: Array  # probabilities for the test images, from training
    seconds: float  # spent on the model and not recorded yet
    memory: MemoryUse = field(default_factory=MemoryUse)  # of the Keras model


@dataclass
class TimedRuntime:
    """The result of one model in one runtime."""

    result: RuntimeResult
    arrays: dict[str, Array] = field(default_factory=dict)  # durations, shared by all seeds
    probabilities: Array | None = None  # for the test images, of this model alone


def record_runtime(
    model: MeasuredModel, timed: TimedRuntime, session: Session, run: StoredRun, listener: Listener
) -> None:
    """Write the figures to the records of all seeds, and the probabilities to the model's own."""
    result = replace(timed.result, session=session)
    model.seconds += sum(float(array.sum()) for array in timed.arrays.values())
    first = model.records[0]
    renewed: list[Record] = []
    if result.status == "failed" and any(
        earlier.name == result.name and earlier.status == "ok" for earlier in first.runtimes
    ):
        what = f"{first.trial.name}, {result.name}, timed again"
        listener(Note(f"{what}: {result.reason} The earlier figures are kept."))
    # The record with kept weights comes last, so that a run killed in between measures it again.
    for record in reversed(model.records):
        probabilities = timed.probabilities if record is first else None
        arrays = dict(run.evidence_of(record).arrays)
        if result.status == "ok":
            arrays = {n: array for n, array in arrays.items() if not _belongs_to(result.name, n)}
            arrays |= timed.arrays
        if probabilities is not None:
            arrays[f"probabilities_{result.name}"] = probabilities
        digest = write_arrays(run.folder, record.trial.key, arrays, replaces=record.arrays_sha256)
        notes = tuple(note for note in record.notes if STANDS_IN not in note)
        if record is not first:
            notes += (SHARED_NOTE.format(seed=first.trial.seed),)
        results = with_results(record, [result])
        new = replace(
            with_seconds(
                record, "measure", model.seconds, 0.0 if record is first else model.seconds
            ),
            runtimes=results,
            notes=notes,
            session=results[0].session or record.session,
            arrays_sha256=digest,
        )
        renewed.insert(0, new)
        listener(RecordMeasured(new))
    model.records, model.seconds = renewed, 0.0


def _belongs_to(runtime: str, array: str) -> bool:
    return array == f"probabilities_{runtime}" or array.startswith(
        (f"latency_{runtime}_b", f"warmup_{runtime}_b")
    )


def with_arrays(run: StoredRun, record: Record, more: Mapping[str, Array]) -> Record:
    """Add arrays to a trial's file; return its record with the digest of the new file."""
    arrays = {**run.evidence_of(record).arrays, **more}
    key, before = record.trial.key, record.arrays_sha256
    return replace(record, arrays_sha256=write_arrays(run.folder, key, arrays, replaces=before))


def with_seconds(record: Record, part: str, seconds: float, reused: float = 0.0) -> Record:
    """Return the record with seconds added to a part of its trial, and to the total; `reused` of
    them were spent for another seed."""
    changed = dict(record.seconds)
    for name, more in ((part, seconds), ("total", seconds), ("reused", reused)):
        changed[name] = changed.get(name, 0.0) + more
    return replace(record, seconds=changed)
