"""How sure a figure is: arithmetic on counts and samples, which knows no records and no files."""

from __future__ import annotations

from math import sqrt

Z95 = 1.959963984540054  # the normal distribution's 97.5% point

# The fewest samples that support a percentile with 99% confidence (after MLPerf's inference rules).
SAMPLES_FOR_PERCENTILE = {50: 1, 90: 64, 99: 662}


def wilson(k: float, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a proportion, `k` successes out of `n`.

    It stays inside 0..1 and is honest at the ends: 20 right out of 20 is not "exactly 100%". `k`
    may be a mean of counts, where several seeds answered the same `n` images.
    """
    if n < 1 or not 0 <= k <= n:
        raise ValueError(f"wants 0 <= k <= n and n >= 1, got k={k}, n={n}")
    share, spread = k / n, Z95 * Z95 / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
