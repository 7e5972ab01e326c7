"""`bench.run`: a run as one call, with progress shown where it is called from."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from bench.cli.notebook_display import NotebookDisplay
from bench.cli.run_display import RunDisplay
from bench.execution import launch
from bench.execution.finished_run import Run
from bench.execution.request import RunRequest


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
    if not progress:
        return launch.run(request, lambda event: None)
    console = Console(highlight=False)
    if console.is_jupyter:
        with NotebookDisplay() as notebook:
            return launch.run(request, notebook)
    with RunDisplay(console) as display:
        return launch.run(request, display)
