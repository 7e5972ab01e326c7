"""Progress events and the estimated time left of a run, with a fake clock."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from plans import plan

from bench.execution.estimate import Cost, estimate_trial_cost, measure_matrix_rate
from bench.execution.progress import ProgressTracker, Schedule, TimeLeft, make_schedule
from bench.protocol import Augment, EarlyStopping, Head, Phase, TrainingProtocol, Unfreeze
from bench.storage.arrays import write_arrays
from bench.storage.records import SCHEMA
from bench.system.environment import available_cores
from bench.training.events import (
    Event,
    RecordMade,
    RecordMeasured,
    RunProgress,
    RuntimeMeasured,
    TrialEnded,
)
from bench.types import (
    SPLITS,
    Dataset,
    Record,
    RuntimeResult,
    Session,
    Split,
    WeightsUsed,
)


def test_trial_and_runtime_events_are_derived_from_records_once(tmp_path: Path) -> None:
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
    # Progress is reported at the start and after every event.
    assert sum(isinstance(event, RunProgress) for event in told) == 4


def test_shared_cost_is_counted_once_and_trial_cost_scales_with_the_fraction() -> None:
    known = plan("one", seeds=(0, 1), fractions=(1.0, 0.5))
    cost = Cost(shared=30.0, per_trial=8.0, per_image=0.0)
    known = replace(known, planned=(replace(known.planned[0], cost=cost),))
    schedule = make_schedule(known, known.trials)
    assert list(schedule.trials.values()) == [38, 8, 4, 4]
    assert schedule.known
    # A second command starts another worker, so it pays the shared cost again.
    assert list(make_schedule(known, known.trials[1:]).trials.values()) == [38, 4, 4]


def test_trained_backbones_are_estimated_for_measuring_alone() -> None:
    both = plan("one", "two")
    schedule = make_schedule(both, [], ["two"])
    assert schedule.trials == {}
    assert schedule.measuring == make_schedule(both, both.trials).measuring / 2
    assert make_schedule(both, []).measuring == 0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def left(clock: Clock) -> TimeLeft:
    """Two trials of 100 and 200 seconds, 60 of measuring, 10 of reports."""
    return TimeLeft(Schedule({"a": 100.0, "b": 200.0}, 60.0, 10.0), clock)


def test_time_left_is_the_estimate_at_first(left: TimeLeft, clock: Clock) -> None:
    assert left.seconds == 370
    clock.now += 5
    left.update_trial("a", 0.15)  # of one trial, which is 0.05 of both
    assert left.seconds == pytest.approx(300 - 5 + 70)
    assert left.share == pytest.approx(15 / 370)


def test_time_left_follows_the_measured_pace_of_trials(left: TimeLeft, clock: Clock) -> None:
    clock.now += 50
    left.end_trial("a")  # 100 planned seconds in 50
    assert left.seconds == pytest.approx(100 + 70)
    left.update_trial("b", 0.5)
    clock.now += 50
    assert left.seconds == pytest.approx(50 + 70)


def test_time_left_includes_measuring_until_it_ends(left: TimeLeft, clock: Clock) -> None:
    for key in ("a", "b"):
        clock.now += 100
        left.end_trial(key)
    assert left.seconds == 70
    left.update_measuring(0.0)
    clock.now += 20
    assert left.seconds == 40 + 10
    clock.now += 100
    assert left.seconds == 120 + 10  # overdue with nothing done: as long again
    left.update_measuring(0.75)
    assert left.seconds == 40 + 10
    clock.now += 40
    left.update_measuring(1.0)
    assert left.seconds == 10
    assert left.share == pytest.approx(360 / 370)


def test_an_overdue_trial_is_expected_to_take_as_long_again(left: TimeLeft, clock: Clock) -> None:
    clock.now += 1000
    assert left.seconds == 1000 + 70


def test_time_left_of_measuring_alone(clock: Clock) -> None:
    left = TimeLeft(Schedule({}, 60.0, 10.0), clock)
    assert (left.seconds, left.share) == (70, 0)
    left.update_measuring(0.5)
    clock.now += 40
    assert left.seconds == 40 + 10


def test_early_stopping_reduces_the_expected_epochs() -> None:
    images = {name: Split(("a",) * 10, (0,) * 10) for name in SPLITS}
    dataset = Dataset("d", "", ("x", "y"), images, "f")
    backbone = replace(tiny.TINY, gmacs=1.0)

    def each(epochs: int, patience: int | None) -> float:
        stopping = None if patience is None else EarlyStopping(patience=patience)
        tune = Phase("tune", epochs, 1e-5, unfreeze=Unfreeze("all"), early_stopping=stopping)
        cost = estimate_trial_cost(
            backbone, tiny.SIZE, TrainingProtocol("p", "", Head(), (tune,)), dataset, 1e11
        )
        assert cost is not None
        return cost.per_trial

    # Three epochs to the best one, and then its patience.
    assert each(100, 5) == each(8, None)
    assert each(2, 5) == each(2, None)
    assert each(8, None) == pytest.approx(4 * each(2, None))


def test_a_first_head_phase_costs_the_same_for_any_number_of_learning_rates() -> None:
    images = {name: Split(("a",) * 10, (0,) * 10) for name in SPLITS}
    dataset = Dataset("d", "", ("x", "y"), images, "f")
    augment = Augment(rotation=9.0)  # so the frozen part runs in every epoch

    def each(trainings: int, *phases: Phase) -> float:
        protocol = TrainingProtocol("p", "", Head(), phases)
        backbone = replace(tiny.TINY, gmacs=1.0)
        cost = estimate_trial_cost(
            backbone, tiny.SIZE, protocol, dataset, 1e11, trainings=trainings
        )
        assert cost is not None
        return cost.per_trial

    head = Phase("head", 5, 1e-3, augment=augment)
    assert each(5, head) == each(1, head) > 0
    assert each(5, head, head) == pytest.approx(3 * each(1, head, head))  # 1 + 5 against 1 + 1


def test_the_measured_speed_is_robust_on_a_busy_machine() -> None:
    """On busy cores, a product on all of them takes ten times as long, or a thousand."""
    quiet = measure_matrix_rate()
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(2 * available_cores())]
    try:
        assert min(measure_matrix_rate() for _ in range(5)) > quiet / 3
    finally:
        for other in others:
            other.kill()
            other.wait()
