"""What a terminal shows of a run: what is found and planned, then the trials, live."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.status import Status

from bench.analysis.format import counted
from bench.cli.display import Display
from bench.cli.plan_text import show_audit, show_plan
from bench.execution.progress import Planned, RunEvent
from bench.training.events import (
    DatasetListed,
    Interrupted,
    Note,
    TaskEnded,
    TaskProgress,
    TrainingStarted,
    Warned,
    WritingReports,
)


class RunDisplay:
    """A listener of a run; a context, after which nothing live is left on the screen."""

    def __init__(self, console: Console, *, quiet: bool = False, verbose: bool = False) -> None:
        self._console, self._quiet, self._verbose = console, quiet, verbose
        self._errors = Console(stderr=True, highlight=False)
        self._bars = Progress(console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._display: Display | None = None
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end_live()

    def __call__(self, event: RunEvent) -> None:
        match event:
            case Warned(text):
                text = f"warning: {text}"
                self._errors.print(text, style="yellow", markup=False, soft_wrap=True)
            case Note(text) if self._display is None:
                self._console.print(text, style="yellow", markup=False, soft_wrap=True)
            case DatasetListed(description):
                self.print(f"dataset   {description}")
            case TaskProgress():
                self._progress(event)
            case TaskEnded(task):
                self._end_task(task)
            case Planned():
                self._show(event)
            case TrainingStarted():
                self._end_live()
                self._display = Display(self._console, quiet=self._quiet)
                self._display.__enter__()
            case Interrupted():
                self._end_live()
                self._errors.print(
                    "Interrupted; writing the reports (Ctrl-C once more: without them)"
                )
            case WritingReports():
                self._end_live()
                self._status = self._console.status("Writing the reports")
                self._status.start()
            case _:
                if self._display is not None:
                    self._display(event)

    def print(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(text, markup=False, soft_wrap=True)

    def _progress(self, event: TaskProgress) -> None:
        if not self._console.is_terminal:
            return
        if event.task not in self._tasks:
            self._tasks[event.task] = self._bars.add_task(event.task, total=None)
            self._bars.start()
        self._bars.update(
            self._tasks[event.task],
            description=event.step or event.task,
            completed=event.done,
            total=event.total,
        )

    def _end_task(self, task: str) -> None:
        if task in self._tasks:
            self._bars.remove_task(self._tasks.pop(task))
            if not self._tasks:
                self._bars.stop()

    def _show(self, planned: Planned) -> None:
        show_plan(self._console, planned, verbose=self._verbose)
        if not planned.decoded:
            text = (
                "audit     not known before the images are decoded, nor which of them are unusable "
                "and which trials are done"
            )
            self._console.print(text, style="dim", soft_wrap=True)
        show_audit(self._console, planned.audit)
        if planned.unmeasured:
            self.print(f"measure   {counted(len(planned.unmeasured), 'trial')} trained already")

    def _end_live(self) -> None:
        for task in list(self._tasks):
            self._end_task(task)
        if self._status is not None:
            self._status.stop()
        if self._display is not None:
            self._display.__exit__()
        self._display = self._status = None
