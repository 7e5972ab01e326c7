"""Learning-rate search: the same budget for every backbone, chosen by validation loss alone.

A learning rate that suits one network can ruin another, so with `--tune N` each trial is trained at
N multiples of the protocol's learning rates, on the same activations and compiled steps. A first
phase that trains only the head trains at all rates in one pass (`phase_trainer.py`). One multiplier
applies to all phases: their ratio is the protocol's, and a budget of N is N trainings, not N to the
power of the number of phases. Each trial chooses its own rate, so the spread over seeds includes
the choice. The command line imports this file, so it must not load a framework.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import log10
from typing import TYPE_CHECKING

from bench.errors import DivergedError
from bench.types import Trial, TriedRate

if TYPE_CHECKING:
    from bench.models.backends.base import Array
    from bench.training.events import Listener
    from bench.training.phase_tracker import TrainingResult
    from bench.training.protocol_trainer import ProtocolTrainer

MAX_BUDGET = 9  # two decades above and below the protocol's rates


def rate_multipliers(budget: int) -> tuple[float, ...]:
    """Return the multipliers of the protocol's learning rates, half a decade apart, ascending.

    They are 1, one step lower, one step higher, and so on until there are `budget`: a larger budget
    contains every smaller one.
    """
    steps = range(-(budget // 2), (budget - 1) // 2 + 1)
    return tuple(10 ** (step / 2) for step in steps)


def best_rate(tried: Sequence[TriedRate]) -> TriedRate | None:
    """Return the rate with the lowest validation loss; `None` if training diverged at every rate.

    Ties go to the rate nearest to the protocol's, and then to the lower one.
    """
    usable = [rate for rate in tried if rate.val_loss is not None]
    return min(usable, key=_sort_key, default=None)


def _sort_key(rate: TriedRate) -> tuple[float, int, float]:
    assert rate.val_loss is not None  # only rates with a loss are compared
    return rate.val_loss, abs(round(2 * log10(rate.multiplier))), rate.multiplier


@dataclass(frozen=True)
class TuningResult:
    """The training at the best learning rate, and all rates that were tried.

    `arrays` contain the probabilities at every rate (rates x images x classes), NaN for a rate at
    which training diverged.
    """

    trained: TrainingResult
    tried: tuple[TriedRate, ...] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)


def search_rates(
    trainer: ProtocolTrainer, trial: Trial, labels: Array, listener: Listener
) -> TuningResult:
    """Train at each learning rate of the budget; leave the weights of the best one in the model.

    `labels` are those of the validation images. Raise `DivergedError` if training diverges at every
    rate.
    """
    import numpy as np

    from bench.training.events import StageProgress

    tried: list[TriedRate] = []
    results: list[TrainingResult | None] = []
    best_weights: list[Array] = []
    rates = rate_multipliers(trial.settings.tune)
    firsts = trainer.train_first_phase(trial, rates)
    has_more_phases = len(trainer.job.protocol.phases) > bool(firsts)
    for number, multiplier in enumerate(rates, 1):
        if has_more_phases:
            stage = f"learning rate x{multiplier:.2g}, {number} of {len(rates)}"
            listener(StageProgress(trial, stage))
        begun, compiled = time.perf_counter(), trainer.compile_seconds
        first = firsts[number - 1] if firsts else None
        result: TrainingResult | None = None
        if first is not None or not firsts:  # otherwise training diverged in the first phase
            with suppress(DivergedError):
                result = trainer.train(trial, multiplier, first)
        seconds = time.perf_counter() - begun - (trainer.compile_seconds - compiled)
        seconds += 0.0 if first is None else first.seconds
        results.append(result)
        tried.append(_tried_rate(multiplier, result, labels, seconds))
        if best_rate(tried) is tried[-1]:
            best_weights = trainer.copy_weights()
    chosen = best_rate(tried)
    if chosen is None:
        raise DivergedError(f"training diverged at each of the {len(rates)} learning rates tried.")
    trainer.restore_weights(best_weights)
    trained = results[tried.index(chosen)]
    assert trained is not None  # the chosen rate has a loss, so training did not diverge
    diverged = replace(
        trained,
        test=np.full_like(trained.test, np.nan),
        validation=np.full_like(trained.validation, np.nan),
    )
    at_each_rate = [result or diverged for result in results]
    return TuningResult(
        trained,
        tuple(replace(rate, chosen=rate is chosen) for rate in tried),
        {
            "tuning_validation_probabilities": np.stack([r.validation for r in at_each_rate]),
            "tuning_test_probabilities": np.stack([r.test[-1] for r in at_each_rate]),
        },
    )


def _tried_rate(
    multiplier: float, result: TrainingResult | None, labels: Array, seconds: float
) -> TriedRate:
    """Return the record of one learning rate; `result` is `None` if training diverged."""
    from bench.training.phase_tracker import evaluate

    if result is None:
        return TriedRate(multiplier, False, None, None, (), seconds)
    validation = evaluate(result.validation, labels)
    return TriedRate(
        multiplier, False, validation.loss, validation.accuracy, result.phases, seconds
    )
