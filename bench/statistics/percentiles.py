"""How many samples a percentile wants before it may be printed."""

from __future__ import annotations

# The fewest samples that support a percentile with 99% confidence (after MLPerf's inference rules).
SAMPLES_FOR_PERCENTILE = {50: 1, 90: 64, 95: 130, 99: 662}
