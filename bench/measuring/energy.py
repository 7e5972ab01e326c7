"""Joules that a GPU has taken, by its own count; needs `nvidia-ml-py`, and a GPU that counts."""

from __future__ import annotations

from collections.abc import Callable


def joule_counter() -> Callable[[], float] | None:
    """A running total of the first GPU's joules; `None` where nobody counts them."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except pynvml.NVMLError:
        return None

    def joules() -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000

    return joules
