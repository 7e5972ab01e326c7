"""Runtimes: ways of running a trained model whose latency is timed.

Each file of this folder registers its own: adding one takes that file alone. Importing this package
loads no framework, as the command line lists what there is.
"""

from bench.inference.runtimes.base import RUNTIMES, choose_runtimes
from bench.registry import import_modules

__all__ = ["RUNTIMES", "choose_runtimes"]

import_modules(__name__)
