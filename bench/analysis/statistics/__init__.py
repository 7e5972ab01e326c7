"""Intervals, tests and rankings: arithmetic on arrays of predictions, without records or files.

    intervals    means over seeds and test images, and their differences
    pairwise     which pairs differ significantly, tie groups, how stable the order is
    margin       which backbones may be recommended: non-inferiority
    timing       the change of a median latency, and the drift of a machine's speed

Arrays of predictions are (..., seeds, images): true or 1 where the prediction is correct. This file
imports neither NumPy nor SciPy. `benchmarks/statistics_calibration.py` checks the coverage of the
intervals and the error rates of the tests by simulation.
"""

from __future__ import annotations

from math import sqrt

# The fewest samples that support each percentile with 99% confidence, if at most one sample may be
# beyond it (after MLPerf's inference rules).
SAMPLES_FOR_PERCENTILE = {50: 11, 90: 64, 95: 130, 99: 662}


Z95 = 1.959963984540054  # the normal distribution's 97.5% point


def wilson(k: float, n: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a proportion, `k` successes out of `n`.

    It stays inside 0..1 and has a width at the ends too: 20 correct out of 20 is not "100%".
    """
    if n < 1 or not 0 <= k <= n:
        raise ValueError(f"needs 0 <= k <= n and n >= 1, got k={k}, n={n}")
    fraction, spread = k / n, Z95 * Z95 / n
    middle = (fraction + spread / 2) / (1 + spread)
    half = Z95 * sqrt(fraction * (1 - fraction) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
