"""The interval of a proportion: so many right out of so many."""

from __future__ import annotations

from math import sqrt

Z95 = 1.959963984540054  # the normal distribution's 97.5% point


def wilson(k: float, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a proportion, `k` successes out of `n`.

    It stays inside 0..1 and is honest at the ends: 20 right out of 20 is not "exactly 100%".
    """
    if n < 1 or not 0 <= k <= n:
        raise ValueError(f"wants 0 <= k <= n and n >= 1, got k={k}, n={n}")
    share, spread = k / n, Z95 * Z95 / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
