"""`bench.run` and `bench.screen`: a run as one call, with progress in a terminal or a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from typing import Any, Self

from rich.console import Console

from bench.analysis import format as fmt
from bench.cli.run_display import RunDisplay
from bench.execution import launch
from bench.execution.finished_run import Run
from bench.execution.progress import RunEvent, RunListener, RunPreview
from bench.execution.request import RunRequest, ScreenRequest
from bench.training.events import (
    DatasetListed,
    EpochEnded,
    Note,
    RunProgress,
    StageProgress,
    TaskEnded,
    TaskProgress,
    TrialEnded,
    Warned,
    WritingReports,
)
from bench.types import RANDOM_INIT

SECONDS_BETWEEN = 0.25  # updates of a notebook's output, each sent over the network


def run(request: RunRequest | None = None, *, progress: bool = True, **choices: Any) -> Run:
    """Train and measure backbones under one protocol, as the command line does.

    `choices` are the fields of `RunRequest`: `backbones="all"`, `dataset="photos/"`, `seeds=3`,
    `input_size=[128, 160]`, ... An interrupted run continues where it stopped, and a finished one
    is read from disk. Raises `BenchError` if the run is not possible; failed trials raise nothing,
    and make `Run.incomplete` true.
    """
    if request is None:
        request = RunRequest.of(choices)
    elif choices:
        raise TypeError("give a RunRequest or its fields, not both")
    return _with_progress(lambda listener: launch.run(request, listener), progress)


def screen(*, progress: bool = True, **choices: Any) -> Run:
    """Probe all backbones, drop those that cannot win, and return the run of the others.

    `choices` are the fields of `RunRequest`, `budget` (`"30m"` of time, or 3 finalists) and
    `sample`, the number of training images to probe with.
    """
    from bench.execution import screen as screening  # late: `run` does not need it

    request = ScreenRequest.of(choices)
    return _with_progress(lambda listener: screening.run(request, listener), progress)


def _with_progress(work: Callable[[RunListener], Run], progress: bool) -> Run:
    if not progress:
        return work(lambda event: None)
    console = Console(highlight=False, markup=False)
    if console.is_jupyter:
        with NotebookDisplay() as notebook:
            return work(notebook)
    with RunDisplay(console) as display:
        return work(display)


class NotebookDisplay:
    """A listener that shows a run as one notebook output, replaced at each update.

    It is a context manager; on exit the output shows the final state.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []  # warnings, notes and the plan
        self._rows: list[str] = []  # finished trials
        self._now = ""  # current activity
        self._left = ""  # estimate of the remaining time
        self._shown = 0.0  # time of the last update

    def __enter__(self) -> Self:
        from IPython import display

        self._html: Any = display.HTML
        self._handle: Any = display.display(self._html(""), display_id=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._now = self._left = ""
        self._show()

    def __call__(self, event: RunEvent) -> None:
        match event:
            case Warned(text) | Note(text):
                self._lines.append(text)
            case DatasetListed(description):
                self._lines.append(description)
            case TaskProgress(task, done, total, step):
                self._now = f"{step or task} {done}/{total}" if total else step or task
            case TaskEnded():
                self._now = ""
            case RunPreview(plan=plan, untrained=untrained):
                for skipped in plan.skipped:
                    self._lines.append(f"skipped {skipped.backbone}: {skipped.reason}")
                self._lines.append(
                    f"{len(untrained)} of {fmt.quantity(len(plan.trials), 'trial')} to do"
                )
            case StageProgress():
                self._now = event.text
            case EpochEnded(trial=trial, phase=phase, number=number, epoch=epoch):
                figure = f"accuracy {epoch.val_accuracy:.3f}"
                if event.random:
                    figure = f"loss {epoch.val_loss:.4f}"
                self._now = f"{trial.title}: {phase}, epoch {number}, validation {figure}"
            case TrialEnded():
                self._rows.append(_row(event))
            case RunProgress(share, seconds):
                self._left = f"{100 * share:.0f}%, about {fmt.estimate(seconds)} left"
            case WritingReports():
                self._now = "writing the reports"
            case _:
                return
        if time.monotonic() - self._shown >= SECONDS_BETWEEN:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        lines = "".join(f"<div>{escape(line)}</div>" for line in self._lines)
        heads = "".join(f"<th>{title}</th>" for title in ("backbone", "seed", "accuracy", "took"))
        rows = f"<table><tr>{heads}</tr>{''.join(self._rows)}</table>" if self._rows else ""
        now = " · ".join(filter(None, (self._now, self._left)))
        self._handle.update(self._html(f"{lines}{rows}<div><i>{escape(now)}</i></div>"))


def _row(ended: TrialEnded) -> str:
    record = ended.record
    if record.status == "failed":
        accuracy = f"failed: {record.reason}"
    elif not record.pretrained:
        accuracy = RANDOM_INIT
    else:
        accuracy = fmt.MISSING if ended.accuracy is None else fmt.percent(ended.accuracy)
    cells = (record.trial.name, str(record.trial.seed), accuracy, fmt.duration(ended.seconds))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
