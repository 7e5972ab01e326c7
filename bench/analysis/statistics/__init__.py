"""How sure a figure is: arithmetic on answers, which knows no records and no files.

    percentiles, proportions    one sample: needs neither NumPy nor SciPy, and is all that is here
    spread, intervals           means over seeds and test images, and their differences
    pairwise, ties              which of several differ significantly
    margin                      which of several may be taken for the best
    ranking                     how stable the order is

Arrays of answers are (..., seeds, images): true or 1 where the answer was right.
`benchmarks/statistics_calibration.py` holds the intervals and tests to what they promise.
"""

from __future__ import annotations

from bench.analysis.statistics.percentiles import SAMPLES_FOR_PERCENTILE
from bench.analysis.statistics.proportions import Z95, wilson

__all__ = ["SAMPLES_FOR_PERCENTILE", "Z95", "wilson"]
