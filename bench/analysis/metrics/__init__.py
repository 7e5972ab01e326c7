"""Metrics: pure functions of a record's evidence, one family a file.

A new file in this folder is found by itself: importing this package registers every metric, in
the order of the file names and, within a file, of the code.
"""

from __future__ import annotations

from bench.registry import import_modules

import_modules(__name__)
