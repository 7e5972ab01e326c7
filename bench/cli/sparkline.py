"""A row of blocks as high as the figures: how a loss went, in as many cells as there is room."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

BLOCKS = "▁▂▃▄▅▆▇█"
DIVERGED = "×"  # no number


def sparkline(values: Sequence[float], most: int = 24) -> str:
    """The lowest figure is the lowest block; of more than `most`, evenly spaced ones, both ends
    among them."""
    if len(values) > most:
        values = [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
    known = [value for value in values if isfinite(value)]
    if not known:
        return DIVERGED * len(values)
    low, span = min(known), max(known) - min(known)
    return "".join(_block((value - low) / span if span else 0.0) for value in values)


def _block(height: float) -> str:
    return BLOCKS[round(height * (len(BLOCKS) - 1))] if isfinite(height) else DIVERGED
