"""The change of a median latency between two processes, and the drift of a machine's speed.

Two processes that run the same code do not take the same time: other work on the machine, the
clock, the memory layout. One process per run does not show that, so the variance is estimated from
the rounds of a run, each a sample of the machine at another moment, and from a fixed piece of work
that both runs timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, log
from statistics import stdev

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Values = NDArray[np.float64]
ROUNDS = 4  # parts that the queries are taken in; as many as the rounds they were timed in


@dataclass(frozen=True)
class Timed:
    """What one process timed, in order: the queries, and the fixed work in between."""

    queries: Values
    calibration: Sequence[float]


def change_of_medians(before: Timed, after: Timed) -> tuple[float, float] | None:
    """Return the ends of the 95% interval of the difference; `None` if data are missing.

    On a log scale: a slower machine takes a tenth longer, not a millisecond. The variance between
    processes is that between the rounds of one, undivided: it does not average out over queries.
    The change of the fixed work extends the interval on its side, since it is unknown how much of
    it affected the model.
    """
    runs = (before, after)
    if any(len(r.queries) < 2 * ROUNDS or len(r.calibration) < 2 for r in runs):
        return None
    old, new = (float(np.median(r.queries)) for r in runs)
    factor = np.log(new / old)
    slower = float(np.log(np.median(after.calibration) / np.median(before.calibration)))
    spreads = [_between_rounds(r) for r in runs]
    variance = sum(v for v, _ in spreads)
    freedom = variance**2 / sum(v**2 / f for v, f in spreads) if variance else 1.0
    half = float(stdtrit(freedom, 0.975)) * variance**0.5
    low, high = min(factor, factor - slower) - half, max(factor, factor - slower) + half
    return old * float(np.expm1(low)), old * float(np.expm1(high))


def _between_rounds(timed: Timed) -> tuple[float, int]:
    """Return the larger variance, of round medians or fixed work, and its freedom."""
    medians = _round_medians(timed.queries)
    seen = [np.log(values) for values in (medians, np.asarray(timed.calibration))]
    return max((float(values.var(ddof=1)), len(values) - 1) for values in seen)


def paired_ratio(slow: Values, fast: Values) -> tuple[float, float, float] | None:
    """Return how many times faster one of two is that were timed in turns, with the ends of the 95%
    interval; `None` if the queries are too few.

    Round by round, as a busy moment of the machine slows both: the mean of the log ratios of the
    medians, with Student's interval.
    """
    if min(len(slow), len(fast)) < 2 * ROUNDS:
        return None
    medians = zip(_round_medians(slow), _round_medians(fast), strict=True)
    ratios = np.array([log(a / b) for a, b in medians])
    middle = float(ratios.mean())
    half = float(stdtrit(ROUNDS - 1, 0.975)) * float(ratios.std(ddof=1)) / ROUNDS**0.5
    low, ratio, high = np.exp([middle - half, middle, middle + half])
    return float(ratio), float(low), float(high)


def _round_medians(queries: Values) -> Values:
    return np.array([np.median(part) for part in np.array_split(queries, ROUNDS)])


MAX_DRIFT = 0.25  # a quiet machine stays within; a loaded core does not
RANGE_OF_FIVE = 2.326  # how many standard deviations five normal samples span on average


def drift(seconds: Sequence[float]) -> float:
    """Return by how much the slowest of five such times typically exceeds the quickest, as a share.

    From the standard deviation of all the times: the range of them would grow with their number.
    """
    return expm1(RANGE_OF_FIVE * stdev(map(log, seconds))) if len(seconds) > 1 else 0.0
