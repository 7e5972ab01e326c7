"""How many samples a percentile needs before it may be printed."""

from __future__ import annotations

# The fewest samples that support a percentile with 99% confidence, one of them being allowed to
# lie beyond it (after MLPerf's inference rules).
SAMPLES_FOR_PERCENTILE = {50: 11, 90: 64, 95: 130, 99: 662}
