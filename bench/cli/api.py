"""`bench.run` and `bench.screen`: a run as one call, its progress shown where it is called from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console

from bench.cli.notebook_display import NotebookDisplay
from bench.cli.run_display import RunDisplay
from bench.execution import launch
from bench.execution import screen as screening
from bench.execution.finished_run import Run
from bench.execution.progress import RunListener
from bench.execution.request import RunRequest, ScreenRequest


def run(request: RunRequest | None = None, *, progress: bool = True, **choices: Any) -> Run:
    """Train and measure backbones under one protocol, as the command line does.

    `choices` are the fields of `RunRequest`: `backbones="all"`, `dataset="photos/"`, `seeds=3`,
    `input_size=[128, 160]`, ... A run that was interrupted goes on where it stopped, and one that
    is finished is read back. Raises `BenchError` for what cannot be done; a trial that failed is in
    the result (`Run.incomplete`).
    """
    if request is None:
        request = RunRequest.of(choices)
    elif choices:
        raise TypeError("give a RunRequest or its fields, not both")
    return _shown(lambda listener: launch.run(request, listener), progress)


def screen(*, progress: bool = True, **choices: Any) -> Run:
    """Probe all backbones, drop those that cannot win, and run those left; return their run.

    `choices` are the fields of `RunRequest`, and `budget` (`"30m"`, or 3 finalists) and `sample`.
    """
    request = ScreenRequest.of(choices)
    return _shown(lambda listener: screening.run(request, listener), progress)


def _shown(work: Callable[[RunListener], Run], progress: bool) -> Run:
    if not progress:
        return work(lambda event: None)
    console = Console(highlight=False, markup=False)
    if console.is_jupyter:
        with NotebookDisplay() as notebook:
            return work(notebook)
    with RunDisplay(console) as display:
        return work(display)
