"""Changes of latency, and the drift of a machine's speed.

Two processes that execute the same code do not take the same time: other load on the machine, the
clock and the memory layout differ. One process per run does not show this variance, so it is
estimated from the rounds of a run, each a sample of the machine at another moment, and from a fixed
calibration workload that both runs timed.
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
ROUNDS = 4  # parts into which the queries are split: the rounds in which they were timed


@dataclass(frozen=True)
class ProcessTimings:
    """Seconds measured in one process, in order."""

    queries: Values
    calibration: Sequence[float]  # of the calibration workload, timed between the queries


def median_change_interval(
    before: ProcessTimings, after: ProcessTimings
) -> tuple[float, float] | None:
    """Return the 95% interval of the change of the median, in seconds; `None` without enough data.

    Computed on a log scale, because a slower machine takes a tenth longer, not a millisecond. The
    variance between processes is taken to be that between the rounds of one process, undivided: it
    does not average out over queries. The change of the calibration workload extends the interval
    on one side, because it is unknown how much of it affected the model.
    """
    runs = (before, after)
    if any(len(r.queries) < 2 * ROUNDS or len(r.calibration) < 2 for r in runs):
        return None
    old, new = (float(np.median(r.queries)) for r in runs)
    factor = np.log(new / old)
    slower = float(np.log(np.median(after.calibration) / np.median(before.calibration)))
    variances = [_variance_between_rounds(r) for r in runs]
    variance = sum(v for v, _ in variances)
    dof = variance**2 / sum(v**2 / f for v, f in variances) if variance else 1.0
    half = float(stdtrit(dof, 0.975)) * variance**0.5
    low, high = min(factor, factor - slower) - half, max(factor, factor - slower) + half
    return old * float(np.expm1(low)), old * float(np.expm1(high))


def _variance_between_rounds(timings: ProcessTimings) -> tuple[float, int]:
    """Return the larger of two variances, of the log of the round medians and of the calibration,
    and its degrees of freedom."""
    medians = _round_medians(timings.queries)
    logs = [np.log(values) for values in (medians, np.asarray(timings.calibration))]
    return max((float(values.var(ddof=1)), len(values) - 1) for values in logs)


def speed_ratio(slow: Values, fast: Values) -> tuple[float, float, float] | None:
    """Return the speed ratio of two models timed in alternation, and its 95% interval.

    `None` if there are too few queries. Computed round by round, because a busy moment of the
    machine slows both models: the mean of the log ratios of the medians, with Student's interval.
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


MAX_DRIFT = 0.25  # the drift of a quiet machine is smaller, that of a loaded core is not
RANGE_OF_FIVE = 2.326  # mean range of five normal samples, in standard deviations


def drift(seconds: Sequence[float]) -> float:
    """Return by what fraction the slowest of five such times typically exceeds the fastest.

    Computed from the standard deviation, because the range of all times grows with their number.
    """
    return expm1(RANGE_OF_FIVE * stdev(map(log, seconds))) if len(seconds) > 1 else 0.0
