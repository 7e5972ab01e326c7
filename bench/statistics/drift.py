"""Whether a machine kept its speed, told from the same work timed again and again."""

from __future__ import annotations

from collections.abc import Sequence

MOST_DRIFT = 0.25  # a quiet machine stays within; a loaded core does not


def drift(seconds: Sequence[float]) -> float:
    """By how much the slowest time exceeds the quickest; 0.1 is a tenth."""
    return max(seconds) / min(seconds) - 1 if len(seconds) > 1 else 0.0
