"""Switch off single optimisations, to measure the gain of each (`benchmarks/ablation.py`).

`BACKBONE_BENCH_WITHOUT=folding,lean_imports python run_bench.py ...` runs without those two. If the
variable is not set, all are on.
"""

from __future__ import annotations

import os

from bench.errors import UsageError

VARIABLE = "BACKBONE_BENCH_WITHOUT"
OPTIMISATIONS = {
    "folding": "BatchNorm folded into the convolution before it (models/folding.py); with JAX on a "
    "processor, depthwise convolutions as sums, too",
    "lean_imports": "importing Keras without pandas, scikit-learn, matplotlib and GC",
    "concurrent_forward": "two batches of the frozen pass at once (training/rows.py)",
}


def is_enabled(optimisation: str) -> bool:
    """Return whether an optimisation is on in this process."""
    assert optimisation in OPTIMISATIONS
    return optimisation not in disabled_optimisations()


def disabled_optimisations() -> tuple[str, ...]:
    """Return the optimisations that the environment switches off."""
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    if unknown := [name for name in names if name not in OPTIMISATIONS]:
        raise UsageError(
            f"{VARIABLE} names {', '.join(unknown)}; known are {', '.join(OPTIMISATIONS)}."
        )
    return tuple(sorted(names))
