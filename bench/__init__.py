"""backbone-bench: compare pretrained backbones on your own images, under one protocol.

    import bench

    run = bench.run(backbones="all", dataset="photos/", seeds=3)
    run.verdict.sentence             # which backbone to take, and what is undecided
    run.table()                      # a pandas.DataFrame, one row per backbone
    run.predict("new/")              # classify images with the recommended model
    bench.load_run("results/latest") # load an earlier run
    bench.screen(backbones="zoo", dataset="photos/", budget="30m")  # probe many, run the best few

This package is the harness. It never imports `backbones/`, which are plugins like any other.
Importing it is cheap: each public name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bench.cli.api import run as run
    from bench.cli.api import screen as screen
    from bench.errors import BenchError as BenchError
    from bench.execution.finished_run import Run as Run
    from bench.execution.finished_run import load_run as load_run
    from bench.execution.request import RunRequest as RunRequest
    from bench.registry import BACKBONES as BACKBONES
    from bench.types import Backbone as Backbone

_PUBLIC = {
    "run": "bench.cli.api",
    "screen": "bench.cli.api",
    "load_run": "bench.execution.finished_run",
    "Run": "bench.execution.finished_run",
    "RunRequest": "bench.execution.request",
    "BACKBONES": "bench.registry",
    "Backbone": "bench.types",
    "BenchError": "bench.errors",
}
__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
