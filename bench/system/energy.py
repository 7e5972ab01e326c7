"""Joules, where the hardware counts them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def joule_counter() -> Callable[[], float] | None:
    """Return a running total of joules of this process's GPU; `None` where it has no counter.

    Needs `nvidia-ml-py`.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        gpu = _first_visible(pynvml)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except pynvml.NVMLError:
        return None

    def joules() -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000

    return joules


def _first_visible(pynvml: Any) -> Any:
    """Return the GPU that a framework here computes on; NVML itself sees all of the machine's."""
    name = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if name.startswith("GPU-"):
        return pynvml.nvmlDeviceGetHandleByUUID(name)
    return pynvml.nvmlDeviceGetHandleByIndex(int(name) if name.isdigit() else 0)
