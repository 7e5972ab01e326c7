"""Learning-rate search: the same budget for every backbone, chosen by validation loss alone.

A rate that suits one network can ruin another, so with `--tune N` each trial is trained at N
multiples of the protocol's rates, on rows and steps that are computed and compiled already; a first
phase that trains the head alone goes through all of them in one pass (`train.py`). One multiplier
applies to all phases: the ratio between them is the protocol's, and a budget of N is N
trainings, not N to the number of phases. Each trial chooses independently of the others, so the
spread over seeds includes the choice. The command line imports this file: it loads no framework.
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
    from bench.training.course import TrainingResult
    from bench.training.events import Listener
    from bench.training.phases import Phases

MAX_BUDGET = 9  # two decades either way


def multipliers(budget: int) -> tuple[float, ...]:
    """Return `budget` multiples of the protocol's rates, half a decade apart, the lowest first.

    The protocol's own is always among them, then one step lower, one higher, and so on: a larger
    budget contains every smaller one.
    """
    steps = range(-(budget // 2), (budget - 1) // 2 + 1)
    return tuple(10 ** (step / 2) for step in steps)


def best(tried: Sequence[TriedRate]) -> TriedRate | None:
    """Return the rate with the lowest validation loss; of equals the nearest to the protocol's own,
    and then the lower. `None` where training diverged at every rate."""
    usable = [rate for rate in tried if rate.val_loss is not None]
    return min(usable, key=_worth, default=None)


def _worth(rate: TriedRate) -> tuple[float, int, float]:
    assert rate.val_loss is not None  # only usable rates are compared
    return rate.val_loss, abs(round(2 * log10(rate.multiplier))), rate.multiplier


@dataclass(frozen=True)
class TuningResult:
    """The training that a trial reports, and the learning rates tried to find it.

    `arrays` hold the probabilities at every rate (rates x images x classes), NaN where training at
    that rate diverged.
    """

    trained: TrainingResult
    tried: tuple[TriedRate, ...] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)


def search(phases: Phases, trial: Trial, labels: Array, listener: Listener) -> TuningResult:
    """Train at each rate of the budget; leave the weights of the one with the best validation loss
    (its `labels`) in the model."""
    import numpy as np

    from bench.training.events import StageProgress

    tried: list[TriedRate] = []
    answers: list[TrainingResult | None] = []
    kept: list[Array] = []
    rates = multipliers(trial.settings.tune)
    firsts = phases.first_at_all_rates(trial, rates)
    left = len(phases.job.protocol.phases) > bool(firsts)
    for number, multiplier in enumerate(rates, 1):
        if left:
            stage = f"learning rate x{multiplier:.2g}, {number} of {len(rates)}"
            listener(StageProgress(trial, stage))
        begun, compiled = time.perf_counter(), phases.compile_seconds
        first = firsts[number - 1] if firsts else None
        answer: TrainingResult | None = None
        if first is not None or not firsts:  # else it diverged in the first phase
            with suppress(DivergedError):
                answer = phases.train(trial, multiplier, first)
        seconds = time.perf_counter() - begun - (phases.compile_seconds - compiled)
        seconds += 0.0 if first is None else first.seconds
        answers.append(answer)
        tried.append(_tried(multiplier, answer, labels, seconds))
        if best(tried) is tried[-1]:
            kept = phases.copy_weights()
    chosen = best(tried)
    if chosen is None:
        raise DivergedError(f"training diverged at each of the {len(rates)} learning rates tried.")
    phases.restore_weights(kept)
    trained = answers[tried.index(chosen)]
    assert trained is not None  # it has a loss, so it has answers
    nothing = replace(
        trained,
        test=np.full_like(trained.test, np.nan),
        validation=np.full_like(trained.validation, np.nan),
    )
    every = [answer or nothing for answer in answers]
    return TuningResult(
        trained,
        tuple(replace(rate, chosen=rate is chosen) for rate in tried),
        {
            "tuning_validation_probabilities": np.stack([a.validation for a in every]),
            "tuning_test_probabilities": np.stack([a.test[-1] for a in every]),
        },
    )


def _tried(
    multiplier: float, answer: TrainingResult | None, labels: Array, seconds: float
) -> TriedRate:
    from bench.training.course import evaluate

    if answer is None:
        return TriedRate(multiplier, False, None, None, (), seconds)
    judged = evaluate(answer.validation, labels)
    return TriedRate(multiplier, False, judged.loss, judged.accuracy, answer.phases, seconds)
