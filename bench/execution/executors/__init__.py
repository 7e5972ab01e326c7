"""Executors: where the processes of trials run, one a file.

A new file in this folder is found by itself: importing this package registers every executor.
"""

from __future__ import annotations

from bench.execution.executors.base import EXECUTORS, make_executor
from bench.registry import import_modules

__all__ = ["EXECUTORS", "make_executor"]

import_modules(__name__)
