"""The seconds and the joules that a trial's record contains."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.training.accounting import ImportTime, PassTimes, trial_seconds

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.mark.parametrize(
    ("imports", "first", "reused"),
    [
        (ImportTime(7.0), True, 3 + 20),  # decoding is the parent's
        (ImportTime(7.0, reused=True), True, 3 + 20 + 7),
        (ImportTime(7.0), False, 3 + 20 + 10 + 7 + 2 + 4),  # all but its own training
    ],
)
def test_seconds_by_hand(imports: ImportTime, first: bool, reused: float) -> None:
    shared = {"build": 2.0, "data": 3.0}
    passes = PassTimes(spent={"a": 10.0}, reused={"b": 20.0})
    seconds = trial_seconds(imports, shared, passes, 4.0, 50.0, predict=1.0, first=first)
    assert seconds["imports"] == 7.0
    assert seconds["total"] == 7 + 2 + 3 + 30 + 4 + 50 + 1
    assert seconds["reused"] == reused


def test_joules_are_counted_since_the_previous_trial() -> None:
    from bench.training.trial import _TrialRunner

    counter = iter([130.0, 190.0])
    runner = SimpleNamespace(joule_counter=lambda: next(counter), counted_joules=100.0)
    assert [_TrialRunner._joules_used(runner) for _ in range(2)] == [30.0, 60.0]  # type: ignore[arg-type]
    no_gpu = SimpleNamespace(joule_counter=None, counted_joules=100.0)
    assert _TrialRunner._joules_used(no_gpu) is None  # type: ignore[arg-type]
