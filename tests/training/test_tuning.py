"""Learning-rate search: the multipliers, the chosen rate, and what a trial records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss
from workbench import PROTOCOL, SETTINGS, make_dataset, run, with_rate

from bench.models.backends.base import TrainStep, current_backend
from bench.protocol import Phase, TrainingProtocol, Unfreeze
from bench.storage.cache import Store
from bench.training.tuning import best_rate, rate_multipliers
from bench.types import Dataset, TriedRate

pytestmark = pytest.mark.slow  # it loads a framework


def tried(multiplier: float, val_loss: float | None) -> TriedRate:
    return TriedRate(multiplier, False, val_loss, None, (), 0.0)


def test_multipliers_are_half_a_decade_apart_around_one() -> None:
    assert rate_multipliers(1) == (1.0,)
    assert rate_multipliers(2) == pytest.approx((0.316228, 1), rel=1e-5)
    assert rate_multipliers(5) == pytest.approx((0.1, 0.316228, 1, 3.16228, 10), rel=1e-5)
    for budget in range(1, 9):
        assert set(rate_multipliers(budget)) < set(rate_multipliers(budget + 1))


def test_the_lowest_validation_loss_wins_and_ties_go_to_the_protocol() -> None:
    low, own, high = rate_multipliers(3)
    assert best_rate([tried(low, 0.3), tried(own, 0.2), tried(high, 0.1)]) == tried(high, 0.1)
    assert best_rate([tried(low, 0.1), tried(own, 0.1), tried(high, 0.1)]) == tried(own, 0.1)
    # Of two equally far from the protocol's rate, the gentler.
    assert best_rate([tried(low, 0.1), tried(own, 0.2), tried(high, 0.1)]) == tried(low, 0.1)
    assert best_rate([tried(low, None), tried(own, 0.5)]) == tried(own, 0.5)
    assert best_rate([tried(low, None), tried(own, None)]) is None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"), store)


def test_every_rate_is_recorded_as_a_protocol_with_that_rate_would_train(
    dataset: Dataset, store: Store, tmp_path: Path
) -> None:
    (evidence,), _ = run(dataset, store, tmp_path / "tuned", settings=replace(SETTINGS, tune=3))
    record, arrays = evidence.record, evidence.arrays
    assert [rate.multiplier for rate in record.tuning] == list(rate_multipliers(3))
    assert arrays["tuning_validation_probabilities"].shape == (3, 12, 2)
    assert arrays["tuning_test_probabilities"].shape == (3, 16, 2)
    for number, rate in enumerate(record.tuning):
        # The same as training without a search, by a protocol with this rate.
        protocol = with_rate(PROTOCOL, rate.multiplier)
        (alone,), _ = run(dataset, store, tmp_path / str(number), protocol=protocol)
        for split in ("validation", "test"):
            np.testing.assert_allclose(
                arrays[f"tuning_{split}_probabilities"][number],
                alone.arrays[f"{split}_probabilities"],
                rtol=1e-5,
            )
        assert [p.epochs[-1].loss for p in rate.phases] == pytest.approx(
            [p.epochs[-1].loss for p in alone.record.phases], rel=1e-5
        )
        labels = arrays["validation_labels"]
        expected = log_loss(labels, arrays["tuning_validation_probabilities"][number])
        assert rate.val_loss == pytest.approx(expected, abs=1e-9)

    chosen = min(range(3), key=lambda i: record.tuning[i].val_loss or 9)
    assert [rate.chosen for rate in record.tuning] == [i == chosen for i in range(3)]
    assert record.phases == record.tuning[chosen].phases
    for split in ("validation", "test"):
        np.testing.assert_array_equal(
            arrays[f"{split}_probabilities"], arrays[f"tuning_{split}_probabilities"][chosen]
        )
    others = sum(rate.seconds for rate in record.tuning if not rate.chosen)
    assert record.seconds["tuning"] == pytest.approx(others)
    parts = {k: v for k, v in record.seconds.items() if k not in ("total", "reused")}
    assert sum(parts.values()) == pytest.approx(record.seconds["total"])


def test_other_rates_need_no_compilation(
    dataset: Dataset, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = current_backend()
    made = []

    def counted(*arguments: Any) -> TrainStep:
        made.append(arguments)
        return backend.train_step(*arguments)

    counting = replace(backend, train_step=counted)
    monkeypatch.setattr("bench.training.prepared.current_backend", lambda: counting)
    (evidence,), _ = run(dataset, store, tmp_path / "r", settings=replace(SETTINGS, tune=4))
    assert len(made) == len(PROTOCOL.phases)
    compiled = [[p.compile_seconds > 0 for p in rate.phases] for rate in evidence.record.tuning]
    assert compiled == [[True, True], [False, False], [False, False], [False, False]]


def test_a_rate_at_which_training_diverges_is_recorded_and_not_chosen(
    dataset: Dataset, store: Store, tmp_path: Path
) -> None:
    # Adam's steps are as long as its rate. At ten times 10^37, a few of them overflow 32 bits,
    # whose largest number is 3.4 10^38.
    protocol = TrainingProtocol("wild", "", PROTOCOL.head, (Phase("head", 3, 1e37),))
    settings = replace(SETTINGS, tune=5)
    (evidence,), _ = run(dataset, store, tmp_path / "r", protocol=protocol, settings=settings)
    lowest, *_, highest = evidence.record.tuning
    assert lowest.val_loss is not None
    assert (highest.val_loss, highest.val_accuracy, highest.phases) == (None, None, ())
    assert not highest.chosen
    answers = evidence.arrays["tuning_test_probabilities"]
    assert np.isnan(answers[-1]).all()
    assert np.isfinite(answers[0]).all()


@pytest.mark.parametrize("unfreeze", [Unfreeze("none"), Unfreeze("stages", 1)])
def test_a_trial_fails_if_training_diverges_at_every_rate(
    dataset: Dataset,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unfreeze: Unfreeze,
) -> None:
    """Here one rate is trained after another: the copies of the head would be too large, or the
    first phase trains more than the head."""
    monkeypatch.setattr("bench.training.protocol_trainer.MAX_COPIED_PARAMETERS", 1)
    monkeypatch.setattr(
        "bench.training.protocol_trainer.HeadCopies",
        lambda *args: pytest.fail("trained in one pass"),
    )
    phase = Phase("first", 3, 3e38, unfreeze=unfreeze)
    protocol = TrainingProtocol("wild", "", PROTOCOL.head, (phase,))
    settings = replace(SETTINGS, tune=2)
    with pytest.raises(AssertionError, match="diverged at each of the 2 learning rates"):
        run(dataset, store, tmp_path / "r", protocol=protocol, settings=settings)
