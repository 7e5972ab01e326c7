"""The display of a run in a terminal: the data set, the plan, then the trials, live."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Self

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from bench.analysis.format import duration, estimate, quantity, split_counts
from bench.cli.display import Display
from bench.data.audit.result import NO_LEAK, KeptAudit, other_findings, outcome_text
from bench.execution.progress import RunEvent, RunPreview
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
from bench.training.robustness import count_passes as robustness_passes
from bench.types import RANDOM_INIT, Dataset


class RunDisplay:
    """A listener that prints a run's events; a context manager that ends live output on exit."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console, self._verbose = console, verbose
        self._errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._bars = Progress(console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._live = ExitStack()  # other live output than the bars
        self._display: Display | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end_live()

    def __call__(self, event: RunEvent) -> None:
        match event:
            case Warned(text):
                self._errors.print(f"warning: {text}", style="yellow")
            case Note(text) if self._display is None:
                self.print(text, "yellow")
            case DatasetListed(description):
                self.print(f"dataset   {description}")
            case TaskProgress():
                self._progress(event)
            case TaskEnded(task):
                self._end_task(task)
            case RunPreview():
                self._plan(event)
            case TrainingStarted():
                self._end_live()
                self._display = self._live.enter_context(Display(self._console))
            case Interrupted():
                self._end_live()
                text = "Interrupted; writing the reports (Ctrl-C again to skip them)"
                self._errors.print(text)
            case WritingReports():
                self._end_live()
                self._live.enter_context(self._console.status("Writing the reports"))
            case _:
                if self._display is not None:
                    self._display(event)

    def print(self, text: str, style: str = "") -> None:
        """Print a line without wrapping it."""
        self._console.print(text, style=style, soft_wrap=True)

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

    def _end_live(self) -> None:
        for task in list(self._tasks):
            self._end_task(task)
        self._live.close()
        self._display = None

    def _plan(self, preview: RunPreview) -> None:
        """Print the plan: images, protocol, backbones, estimated time and the run's folder."""
        plan, schedule, waiting = preview.plan, preview.schedule, preview.untrained
        protocol, dataset = plan.protocol, plan.dataset
        counts = split_counts({name: len(split) for name, split in dataset.splits.items()})
        self.print(f"images    {counts}, {len(dataset.classes)} classes")
        self._excluded(dataset)
        self.print(f"protocol  {protocol.name}: {protocol.summary}")
        if plan.measuring.robustness:
            passes = robustness_passes(len(dataset.splits["test"]))
            self.print(f"robust    {passes:,} corrupted test images for each pretrained model")
        self._console.print(_backbone_table(preview, schedule.trials))
        for skipped in plan.skipped:
            self.print(f"skipped   {skipped.backbone}: {skipped.reason}", "red")
        about = "unknown (a backbone declares no cost)"
        if schedule.known:
            total = estimate(schedule.total)
            about = f"about {total} on this CPU, with measuring and reports"
        self.print(f"run       {preview.folder}, {quantity(len(waiting), 'trial')} to do, {about}")
        if not preview.decoded:
            text = (
                "audit     not known before the images are decoded, nor are the unusable images "
                "and the finished trials"
            )
            self.print(text, "dim")
        self._audit(preview.audit)
        if preview.unmeasured:
            self.print(f"measure   {quantity(len(preview.unmeasured), 'trained trial')}")

    def _audit(self, kept: KeptAudit | None) -> None:
        """Print one line on leaks, and one on all other findings of the audit."""
        if kept is None:
            return
        leak = outcome_text(kept)
        self.print(f"audit     {leak or NO_LEAK} ({duration(kept.seconds)})", "red" if leak else "")
        if others := list(other_findings(kept.audit)):
            self.print(f"audit     also {', '.join(others)}; see report.md", "yellow")

    def _excluded(self, dataset: Dataset) -> None:
        for note in dataset.notes:
            self.print(f"note      {note}")
        if dataset.excluded:
            count = quantity(len(dataset.excluded), "unusable image")
            hint = "" if self._verbose else "; -v and the report list them"
            self.print(f"left out  {count}{hint}", "yellow")
        if self._verbose:
            for image in dataset.excluded:
                self.print(f"          {image.id}: {image.reason}")


def _backbone_table(preview: RunPreview, seconds: Mapping[str, float]) -> Table:
    """Return a table of the backbones, with remaining trials and their estimated seconds."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("backbone", "px", "weights", "trials", "to do", "estimate"):
        words = title in ("backbone", "weights")
        table.add_column(title, justify="left" if words else "right", no_wrap=not words)
    waiting = {trial.key for trial in preview.untrained}
    for one in preview.plan.planned:
        left = [trial.key for trial in one.trials if trial.key in waiting]
        known = left and one.cost is not None
        table.add_row(
            one.name,
            str(one.input_size),
            RANDOM_INIT if one.weights is None else one.weights.source,
            str(len(one.trials)),
            str(len(left)),
            estimate(sum(seconds[key] for key in left)) if known else "-",
        )
    return table
