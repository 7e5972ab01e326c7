"""Each optimisation can be switched off by name, for `benchmarks/ablation.py`."""

from __future__ import annotations

import gc
import sys
from typing import Any

import keras
import numpy as np
import pytest

from bench.errors import UsageError
from bench.models.folding import fold_batchnorm
from bench.system.ablation import OPTIMISATIONS, VARIABLE, disabled_optimisations, is_enabled
from bench.system.frameworks import disable_gc, hide_packages
from bench.training import rows
from bench.training.prepared import FORWARD_BATCH

pytestmark = pytest.mark.slow  # it loads a framework


def test_all_are_on_unless_the_variable_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert all(is_enabled(name) for name in OPTIMISATIONS)
    monkeypatch.setenv(VARIABLE, "lean_imports, folding")
    assert [name for name in OPTIMISATIONS if not is_enabled(name)] == ["folding", "lean_imports"]
    assert disabled_optimisations() == ("folding", "lean_imports")


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "folding,speed")
    with pytest.raises(UsageError, match="speed; known are folding"):
        disabled_optimisations()


def test_without_folding_the_network_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    start = keras.Input((8, 8, 3))
    convolved = keras.layers.Conv2D(4, 3)(start)
    model = keras.Model(start, keras.layers.BatchNormalization()(convolved))
    assert fold_batchnorm(model) is not model
    monkeypatch.setenv(VARIABLE, "folding")
    assert fold_batchnorm(model) is model


def test_without_lean_imports_nothing_is_hidden_or_left_uncollected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "lean_imports")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with hide_packages("colorsys"), disable_gc():
        import colorsys

        assert gc.isenabled()
    assert colorsys.rgb_to_hsv(1, 0, 0) == (0, 1, 1)


@pytest.mark.parametrize(("value", "most"), [("", 2), ("concurrent_forward", 1)])
def test_batches_of_the_frozen_pass_run_two_at_once_or_one_by_one(
    monkeypatch: pytest.MonkeyPatch, value: str, most: int
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    import threading

    running, seen, lock = 0, 0, threading.Lock()
    both = threading.Barrier(most)

    class Forward:
        any_size = True

        def compile(self, batch: Any) -> None: ...

        def __call__(self, batch: Any) -> list[Any]:
            nonlocal running, seen
            with lock:
                running += 1
                seen = max(seen, running)
            both.wait(timeout=30)
            with lock:
                running -= 1
            return [batch]

    class Rows:
        def __len__(self) -> int:
            return 4 * FORWARD_BATCH

        def take(self, indices: Any) -> Any:
            return indices.astype("float32")

    assert np.array_equal(rows.predict(Forward(), Rows()), np.arange(len(Rows())))
    assert seen == most
