"""The events that a run derives from those of its workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plans import plan

from bench.execution.progress import ProgressTracker, make_schedule
from bench.storage.arrays import write_arrays
from bench.storage.records import SCHEMA
from bench.training.events import (
    Event,
    RecordMade,
    RecordMeasured,
    RunProgress,
    RuntimeMeasured,
    TrialEnded,
)
from bench.types import Record, RuntimeResult, Session, WeightsUsed


def test_records_bring_accuracy_seconds_and_each_latency_once(tmp_path: Path) -> None:
    one = plan("one")
    (trial,) = one.trials
    told: list[Event] = []
    earlier = RuntimeResult("onnx", session=Session("2020", ("one",), 1, 1, 1e9, ()))
    kept = [Record(SCHEMA, trial, "ok", runtimes=(earlier,))]
    tell = ProgressTracker(one, tmp_path, make_schedule(one, one.trials), told.append, kept=kept)
    arrays = {
        "test_labels": np.array([0, 1, 1, 1]),
        "test_probabilities": np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]]),
        "latency_keras_b1": np.full(64, 0.002),
    }
    digest = write_arrays(tmp_path, trial.key, arrays)
    seconds = {"total": 9.0, "reused": 2.0}
    weights = WeightsUsed("imagenet", "w.h5", "")
    record = Record(SCHEMA, trial, "ok", weights=weights, seconds=seconds, arrays_sha256=digest)
    tell(RecordMade(record))
    assert TrialEnded(record, 0.75, 7.0) in told

    session = Session("1999", ("one",), 1, 1, 1e9, ())  # its machine's clock is behind
    failed = RuntimeResult("xla", status="failed", reason="no room")
    keras = RuntimeResult("keras", batches=(1,), session=session)
    measured = Record(SCHEMA, trial, "ok", runtimes=(keras,), arrays_sha256=digest)
    both = Record(SCHEMA, trial, "ok", runtimes=(keras, failed, earlier), arrays_sha256=digest)
    tell(RecordMeasured(measured))
    tell(RecordMeasured(both))
    found = [event for event in told if isinstance(event, RuntimeMeasured)]
    assert [(e.result.name, e.latency_ms) for e in found] == [
        ("keras", pytest.approx(2.0)),
        ("xla", None),
    ]
    # And how far the run is, at its start and after every event.
    assert sum(isinstance(event, RunProgress) for event in told) == 4
