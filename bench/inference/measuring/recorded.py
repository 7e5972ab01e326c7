"""What one runtime of one model gave, put into the records of all seeds that it stands for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bench.inference.measuring.memory import MemoryUse
from bench.inference.measuring.needed import with_results
from bench.inference.runtimes.base import Source
from bench.models.backends.base import Array
from bench.storage.arrays import write_arrays
from bench.storage.records import Evidence, Run
from bench.training.events import Listener, Note, RecordMeasured
from bench.types import Record, RuntimeResult, Session

STANDS_IN = "stands for all its seeds"
SHARED = f"timed with seed {{seed}} of this backbone, which {STANDS_IN}"


@dataclass
class Model:
    """One trained model, and the records that its figures go to; the first is its own."""

    records: list[Record]
    needs: tuple[str, ...]  # runtimes
    source: Source
    float32: Source  # what is converted: an artefact's own name says what it computes in
    images: Array  # of the test split
    expected: Array
    seconds: float  # spent on it and in no record yet
    memory: MemoryUse = field(default_factory=MemoryUse)  # of the Keras model


@dataclass
class Timed:
    """What one runtime of one model gave."""

    result: RuntimeResult
    arrays: dict[str, Array] = field(default_factory=dict)  # durations, the same for every seed
    answers: Array | None = None  # probabilities of every test image, of this model alone


def record_timed(
    model: Model, timed: Timed, session: Session, run: Run, listener: Listener
) -> None:
    """Give every seed the same figures; what was answered belongs to the first alone."""
    result = replace(timed.result, session=session)
    model.seconds += sum(float(array.sum()) for array in timed.arrays.values())
    first = model.records[0]
    renewed: list[Record] = []
    if result.status == "failed" and any(
        earlier.name == result.name and earlier.status == "ok" for earlier in first.runtimes
    ):
        what = f"{first.trial.backbone}, {result.name}, timed again"
        listener(Note(f"{what}: {result.reason} The earlier figures are kept."))
    # Killed in between, the one whose weights are there is still to be measured.
    for record in reversed(model.records):
        answers = timed.answers if record is first else None
        arrays = dict(Evidence(record, run.dataset.classes, run.folder).arrays)
        if result.status == "ok":
            arrays = {n: array for n, array in arrays.items() if not _is_of(result.name, n)}
            arrays |= timed.arrays
        if answers is not None:
            arrays[f"probabilities_{result.name}"] = answers
        digest = write_arrays(run.folder, record.trial.key, arrays, replaces=record.arrays_sha256)
        notes = tuple(note for note in record.notes if STANDS_IN not in note)
        if record is not first:
            notes += (SHARED.format(seed=first.trial.seed),)
        results = with_results(record, [result])
        new = replace(
            record,
            runtimes=results,
            seconds=_with_measuring(record, model.seconds, spent=record is first),
            notes=notes,
            session=results[0].session or record.session,
            arrays_sha256=digest,
        )
        renewed.insert(0, new)
        listener(RecordMeasured(new))
    model.records, model.seconds = renewed, 0.0


def stands_in(record: Record) -> bool:
    """Return whether another seed's model was timed for this one."""
    return any(STANDS_IN in note for note in record.notes)


def _is_of(runtime: str, array: str) -> bool:
    return array == f"probabilities_{runtime}" or array.startswith(
        (f"latency_{runtime}_b", f"warmup_{runtime}_b")
    )


def _with_measuring(record: Record, seconds: float, *, spent: bool) -> dict[str, float]:
    """The trial's seconds with those of its measuring; other seeds found that done."""
    changed: dict[str, Any] = dict(record.seconds)
    changed["measure"] = changed.get("measure", 0.0) + seconds
    changed["total"] = changed.get("total", 0.0) + seconds
    changed["reused"] = changed.get("reused", 0.0) + (0.0 if spent else seconds)
    return changed
