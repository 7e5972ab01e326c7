"""Metrics: pure functions of a record's evidence, one family a file.

A new file in this folder is found by itself: importing this package registers every metric, in
the order of the file names and, within a file, of the code.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

for _module in sorted(iter_modules(__path__), key=lambda m: m.name):
    import_module(f"{__name__}.{_module.name}")
