"""A trial trained at every learning rate of its budget, on what is cached and compiled already.

Which rates there are and which one is taken is said in `tuning.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bench.errors import DivergedError
from bench.models.backends.base import Array
from bench.training.phases import Phases, Trained
from bench.training.tuning import best, multipliers
from bench.types import Trial, TriedRate

OnRate = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """The training that a trial reports, and what was tried to find it.

    `arrays` hold what every tried rate answered (rates x images x classes), NaN where training at
    that rate came to nothing.
    """

    trained: Trained
    tried: tuple[TriedRate, ...] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)


def search(phases: Phases, trial: Trial, labels: Array, on_rate: OnRate) -> Found:
    """Train at each rate; leaves the weights of the one that validation (its `labels`) chooses."""
    tried: list[TriedRate] = []
    answers: list[Trained | None] = []
    kept: list[Array] = []
    rates = multipliers(trial.settings.tune)
    for number, multiplier in enumerate(rates, 1):
        on_rate(f"learning rate x{multiplier:.2g}, {number} of {len(rates)}")
        begun, compiled = time.perf_counter(), phases.compile_seconds
        answer = _attempt(phases, trial, multiplier)
        seconds = time.perf_counter() - begun - (phases.compile_seconds - compiled)
        answers.append(answer)
        tried.append(_tried(multiplier, answer, labels, seconds))
        if best(tried) is tried[-1]:
            kept = phases.weights()
    chosen = best(tried)
    if chosen is None:
        raise DivergedError(
            f"training came to nothing at each of the {len(rates)} learning rates tried."
        )
    phases.put_back(kept)
    trained = answers[tried.index(chosen)]
    assert trained is not None  # it has a loss, so it has answers
    nothing = replace(
        trained,
        test=np.full_like(trained.test, np.nan),
        validation=np.full_like(trained.validation, np.nan),
    )
    every = [answer or nothing for answer in answers]
    return Found(
        trained,
        tuple(replace(rate, chosen=rate is chosen) for rate in tried),
        {
            "tuning_validation_probabilities": np.stack([a.validation for a in every]),
            "tuning_test_probabilities": np.stack([a.test[-1] for a in every]),
        },
    )


def _attempt(phases: Phases, trial: Trial, multiplier: float) -> Trained | None:
    try:
        return phases.train(trial, multiplier)
    except DivergedError:
        return None


def _tried(multiplier: float, answer: Trained | None, labels: Array, seconds: float) -> TriedRate:
    if answer is None:
        return TriedRate(multiplier, False, None, None, (), seconds)
    of_true = answer.validation[np.arange(len(labels)), labels]
    loss = -np.log(np.clip(of_true, np.finfo(np.float64).eps, 1)).mean()
    accuracy = (answer.validation.argmax(axis=1) == labels).mean()
    return TriedRate(multiplier, False, float(loss), float(accuracy), answer.phases, seconds)
