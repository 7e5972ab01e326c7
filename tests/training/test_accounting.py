"""Whose seconds are counted, and which of them were not spent this time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.training.accounting import Imports, account
from bench.training.features import Ledger

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.mark.parametrize(
    ("imports", "first", "reused"),
    [
        (Imports(7.0), True, 3 + 20),  # decoding is the parent's
        (Imports(7.0, reused=True), True, 3 + 20 + 7),
        (Imports(7.0), False, 3 + 20 + 10 + 7 + 2 + 4),  # all but its own training
    ],
)
def test_seconds_by_hand(imports: Imports, first: bool, reused: float) -> None:
    shared = {"build": 2.0, "data": 3.0}
    ledger = Ledger(spent={"a": 10.0}, reused={"b": 20.0})
    seconds = account(imports, shared, ledger, 4.0, 50.0, predict=1.0, first=first)
    assert seconds["imports"] == 7.0
    assert seconds["total"] == 7 + 2 + 3 + 30 + 4 + 50 + 1
    assert seconds["reused"] == reused


def test_joules_are_those_since_the_trial_before() -> None:
    from bench.training.trial import _Setup

    counter = iter([130.0, 190.0])
    setup = SimpleNamespace(joules=lambda: next(counter), counted=100.0)
    assert [_Setup._joules(setup) for _ in range(2)] == [30.0, 60.0]  # type: ignore[arg-type]
    no_gpu = SimpleNamespace(joules=None, counted=100.0)
    assert _Setup._joules(no_gpu) is None  # type: ignore[arg-type]
