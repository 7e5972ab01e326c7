"""Runtimes: ways of running a trained model whose latency is timed, one a file.

A new file in this folder is found by itself: importing this package registers every runtime.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bench.inference.runtimes.base import RUNTIMES, choose_runtimes

__all__ = ["RUNTIMES", "choose_runtimes"]

for _module in sorted(iter_modules(__path__), key=lambda module: module.name):
    import_module(f"{__name__}.{_module.name}")
