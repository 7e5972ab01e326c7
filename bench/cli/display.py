"""The display of running trials: a live table on a terminal, plain lines elsewhere.

It shows the events that it receives, and computes only the remaining time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bench.analysis.format import MISSING, duration, estimate, milliseconds, percent
from bench.training.events import (
    EpochEnded,
    Event,
    Note,
    RunProgress,
    RuntimeMeasured,
    StageProgress,
    TrialEnded,
)
from bench.types import RANDOM_INIT, Trial

BLOCKS = "▁▂▃▄▅▆▇█"
DIVERGED = "×"  # in place of a loss that is not finite


@dataclass
class _CurrentTrial:
    """A trial in progress: its bar, validation losses and stage."""

    bar: TaskID
    losses: list[float] = field(default_factory=list)  # validation loss of each epoch
    stage: str = ""


class Display:
    """Shows the trials of a run; with several GPUs, several trials at the same time."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._current: dict[str, _CurrentTrial] = {}
        self._results: list[tuple[str, ...]] = []
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._overall: TaskID = self._bars.add_task("the whole run", total=1.0, detail="")
        self._end = time.monotonic()  # expected end of the run
        self._ended = False
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_live:
            self._ended = True
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StageProgress():
                self._stage(event)
            case EpochEnded():
                self._epoch(event)
            case Note(text):
                self._line(text, "yellow")
            case TrialEnded():
                self._trial(event)
            case RuntimeMeasured():
                self._runtime(event)
            case RunProgress(share, seconds):
                self._end = time.monotonic() + seconds
                self._bars.update(self._overall, completed=share)

    def _stage(self, event: StageProgress) -> None:
        # Each training trial has its own bar; models being measured, in alternation, share one.
        key = "" if event.work == "measuring" else event.trial.key
        name, current = _name(event.trial), self._of(key)
        if not self._is_live:
            if event.stage != current.stage and event.work != "phase":  # a phase shows its epochs
                self._line(f"{name}: {event.stage}")
            current.stage = event.stage
            return
        detail = f"{event.done}/{event.total}" if event.total else ""
        if event.work == "measuring" and event.total:
            detail = f"{100 * event.done // event.total}%"
        self._bars.update(
            current.bar,
            description=f"{name}: {event.stage}",
            total=event.total or None,
            completed=event.done,
            detail=detail,
            visible=True,
        )

    def _epoch(self, event: EpochEnded) -> None:
        current, epoch = self._of(event.trial.key), event.epoch
        current.losses.append(epoch.val_loss)
        drawn, validation = f"loss {epoch.loss:.4f}", f"validation {epoch.val_loss:.4f}"
        if not event.random:
            drawn += f"  accuracy {epoch.accuracy:.3f}"
            validation += f" {epoch.val_accuracy:.3f}"
        if self._draws:
            drawn = sparkline(current.losses)
        text = (
            f"{_name(event.trial)}: {event.phase} {event.number}/{event.epochs}  {drawn}  "
            f"{validation}"
        )
        if self._is_live:
            self._bars.update(current.bar, description=text)
        else:
            self._line(text)

    def _trial(self, event: TrialEnded) -> None:
        record, name = event.record, _name(event.record.trial)
        if ended := self._current.pop(record.trial.key, None):
            self._bars.remove_task(ended.bar)
        random = record.weights is not None and not record.weights.pretrained
        accuracy = MISSING if event.accuracy is None else percent(event.accuracy)
        cells, mark = [accuracy, duration(event.seconds)], RANDOM_INIT if random else ""
        if record.status == "failed":
            cells, mark = ["failed", ""], ""
        losses = [epoch.val_loss for phase in record.phases for epoch in phase.epochs]
        drawn = [sparkline(losses)] if self._draws else []
        trial = (record.trial.name, str(record.trial.seed))
        self._results.append((*trial, *cells, *drawn, mark))
        if record.status == "failed":
            self._line(f"{name} failed: {record.reason}", "red")
        elif not self._is_live:
            title = "" if random else "accuracy "  # random weights have no meaningful accuracy
            self._line(f"{name}: done, {title}" + "  ".join(filter(None, (*cells[random:], mark))))

    def _runtime(self, event: RuntimeMeasured) -> None:
        name = f"{_name(event.trial)}, {event.result.name}"
        if event.result.status == "failed":
            self._line(f"{name} failed: {event.result.reason}", "red")
            return
        latency = event.latency_ms
        text = "not timed" if latency is None else f"p50 {milliseconds(latency)}"
        self._line(f"{name}: {text}")
        for batch, why in event.result.failed_batches.items():
            self._line(f"{name}: no figures for batch {batch}: {why}", "yellow")

    def _of(self, key: str) -> _CurrentTrial:
        if key not in self._current:
            bar = self._bars.add_task("", total=None, detail="", visible=False)
            self._current[key] = _CurrentTrial(bar)
        return self._current[key]

    @property
    def _is_live(self) -> bool:
        return self.console.is_terminal and not self.console.quiet

    @property
    def _draws(self) -> bool:
        """Return whether the terminal is updated in place and has block characters."""
        return self._is_live and not self.console.options.ascii_only

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)

    def _render(self) -> RenderableType:
        left = max(0.0, self._end - time.monotonic())
        self._bars.update(self._overall, detail=f"about {estimate(left)} left")
        # Limited to the height of the screen, as all rows are redrawn eight times a second.
        bars = [task for task in self._bars.tasks if task.visible][: self.console.height // 2]
        fitting = max(1, self.console.height - len(bars) - 1)  # one line for the titles
        results = self._results if self._ended else self._results[-fitting:]
        parts: list[RenderableType] = [self._table(results)] if results else []
        return Group(*parts, self._bars.make_tasks_table(bars))

    def _table(self, results: Sequence[tuple[str, ...]]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("backbone")
        for title in ("seed", "accuracy", "took"):
            table.add_column(title, justify="right", no_wrap=True)
        if self._draws:
            table.add_column("validation loss")
        table.add_column("")
        for row in results:
            table.add_row(*row)
        return table


def sparkline(values: Sequence[float], most: int = 24) -> str:
    """Return one block character per value, as high as the value is between the extremes.

    Of more than `most` values it shows `most` evenly spaced ones, including both ends.
    """
    if len(values) > most:
        values = [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
    known = [value for value in values if isfinite(value)]
    if not known:
        return DIVERGED * len(values)
    low, span = min(known), max(known) - min(known)
    return "".join(_block((value - low) / span if span else 0.0) for value in values)


def _block(height: float) -> str:
    return BLOCKS[round(height * (len(BLOCKS) - 1))] if isfinite(height) else DIVERGED


def _name(trial: Trial) -> str:
    return trial.title if trial.seed or trial.fraction < 1 else trial.name
