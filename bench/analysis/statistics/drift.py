"""Whether a machine kept its speed, told from the same work timed again and again."""

from __future__ import annotations

from collections.abc import Sequence
from math import expm1, log
from statistics import stdev

MOST_DRIFT = 0.25  # a quiet machine stays within; a loaded core does not
RANGE_OF_FIVE = 2.326  # how many standard deviations five normal samples span on average


def drift(seconds: Sequence[float]) -> float:
    """By how much the slowest of five such times exceeds the quickest, typically; 0.1 is a tenth.

    From the standard deviation of all the times: the range of them would grow with their number.
    """
    return expm1(RANGE_OF_FIVE * stdev(map(log, seconds))) if len(seconds) > 1 else 0.0
