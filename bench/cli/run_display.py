"""What a terminal shows of a run: what is found and planned, then the trials, live."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.status import Status
from rich.table import Table

from bench.analysis.format import counted
from bench.cli.display import Display, human_seconds
from bench.data.audit.result import NO_LEAK, KeptAudit, other_findings, outcome_text
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
from bench.training.robustness import passes as robustness_passes
from bench.types import Dataset


class RunDisplay:
    """A listener of a run; a context, after which nothing live is left on the screen."""

    def __init__(self, console: Console, *, quiet: bool = False, verbose: bool = False) -> None:
        self._console, self._quiet, self._verbose = console, quiet, verbose
        self._errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
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
                self._errors.print(f"warning: {text}", style="yellow")
            case Note(text) if self._display is None:
                self._console.print(text, style="yellow", soft_wrap=True)
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
                text = "Interrupted; writing the reports (Ctrl-C once more: without them)"
                self._errors.print(text)
            case WritingReports():
                self._end_live()
                self._status = self._console.status("Writing the reports")
                self._status.start()
            case _:
                if self._display is not None:
                    self._display(event)

    def print(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(text, soft_wrap=True)

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
        _show_plan(self._console, planned, verbose=self._verbose)
        if not planned.decoded:
            text = (
                "audit     not known before the images are decoded, nor which of them are unusable "
                "and which trials are done"
            )
            self._console.print(text, style="dim", soft_wrap=True)
        _show_audit(self._console, planned.audit)
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


def _show_plan(console: Console, planned_run: Planned, *, verbose: bool) -> None:
    """Print what will be run, and where it is kept."""
    plan = planned_run.plan
    protocol, dataset = plan.protocol, plan.dataset
    counts = " / ".join(f"{len(split)} {name}" for name, split in dataset.splits.items())
    console.print(f"images    {counts}, {len(dataset.classes)} classes")
    _show_excluded(console, dataset, verbose=verbose)
    console.print(f"protocol  {protocol.name}: {protocol.summary}", soft_wrap=True)
    if plan.measuring.robustness:
        passes = robustness_passes(len(dataset.splits["test"]))
        console.print(f"robust    {passes:,} corrupted test images for each pretrained model")
    waiting = {trial.key for trial in planned_run.waiting}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("backbone", "px", "weights", "trials", "to do", "estimate"):
        table.add_column(title, justify="left" if title in ("backbone", "weights") else "right")
    schedule = planned_run.schedule
    for planned in plan.planned:
        left = [trial.key for trial in planned.trials if trial.key in waiting]
        seconds = sum(schedule.trials[key] for key in left)
        table.add_row(
            planned.name,
            str(planned.input_size),
            "random init" if planned.weights is None else planned.weights.source,
            str(len(planned.trials)),
            str(len(left)),
            human_seconds(seconds) if left and planned.cost is not None else "-",
        )
    console.print(table)
    for skipped in plan.skipped:
        text = f"skipped   {skipped.backbone}: {skipped.reason}"
        console.print(text, style="red", soft_wrap=True)
    about = "unknown (a backbone declares no cost)"
    if schedule.known:
        about = f"about {human_seconds(schedule.total)} on this CPU, with measuring and reports"
    todo = counted(len(waiting), "trial")
    console.print(f"run       {planned_run.folder}, {todo} to do, {about}", soft_wrap=True)


def _show_audit(console: Console, kept: KeptAudit | None) -> None:
    """A line for the leak, and one for all else; where the figures come from is in the report."""
    if kept is None:
        return
    leak = outcome_text(kept)
    text = f"audit     {leak or NO_LEAK} ({kept.seconds:.1f} s)"
    console.print(text, style="red" if leak else "", soft_wrap=True)
    if others := list(other_findings(kept.audit)):
        text = f"audit     also {', '.join(others)}; report.md tells more"
        console.print(text, style="yellow", soft_wrap=True)


def _show_excluded(console: Console, dataset: Dataset, *, verbose: bool) -> None:
    for note in dataset.notes:
        console.print(f"note      {note}", soft_wrap=True)
    if dataset.excluded:
        count = counted(len(dataset.excluded), "unusable image")
        hint = "" if verbose else "; -v names them, and so does the report"
        console.print(f"left out  {count}{hint}", style="yellow")
    if verbose:
        for image in dataset.excluded:
            console.print(f"          {image.id}: {image.reason}", soft_wrap=True)
