"""What a user sees while a run goes on: a live table on a terminal, plain lines elsewhere.

Only shows; it is told everything and decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.latency import percentile
from bench.cli.sparkline import sparkline
from bench.cli.time_left import TimeLeft
from bench.execution.plan import Plan
from bench.execution.schedule import make_schedule
from bench.storage.records import Evidence
from bench.types import Epoch, Record, RuntimeResult, Trial


@dataclass
class _UnderWay:
    """How far a trial is, and its bar."""

    bar: TaskID
    fraction: float = 0.0
    phase: str = ""
    epochs: int = 0  # of that phase
    losses: list[float] = field(default_factory=list)  # on validation
    stage: str = ""


class Display:
    """Hears a run; `todo` are the trials that it will go through, some of them at once where there
    are several GPUs."""

    def __init__(
        self,
        console: Console,
        plan: Plan,
        todo: Sequence[Trial],
        folder: Path,
        *,
        unmeasured: Collection[str] = (),
        quiet: bool,
    ) -> None:
        """`unmeasured`: backbones that are trained and still to be measured."""
        self.console, self.quiet = console, quiet
        self._folder, self._classes = folder, plan.dataset.classes
        self._waiting = {trial.key for trial in todo}
        self._time_left = TimeLeft(make_schedule(plan, todo, unmeasured))
        self._under_way: dict[str, _UnderWay] = {}
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._told: list[tuple[str, RuntimeResult]] = []  # what was measured, by trial
        self._epochs = {phase.name: phase.epochs for phase in plan.protocol.phases}
        self._results = Table(box=None, pad_edge=False, header_style="dim")
        for title, justify in (("backbone", "left"), ("seed", "right"), ("accuracy", "right")):
            self._results.add_column(title, justify=justify)  # type: ignore[arg-type]
        self._results.add_column("took", justify="right")
        if self._draws:
            self._results.add_column("validation loss")
        self._results.add_column("")
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._overall: TaskID = self._bars.add_task("the whole run", total=1.0, detail="")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_live:
            self._live.stop()

    def stage(self, trial: Trial, stage: str, done: int = 0, total: int = 0) -> None:
        """A trial has come to `stage`, or goes on in it."""
        name, current = _name(trial), self._of(trial)
        measuring = trial.key not in self._waiting
        if not self._is_live:
            if stage != current.stage and stage not in self._epochs:
                self._line(f"{name}: {stage}")
            current.stage = stage
            return
        if measuring:
            self._time_left.measuring(done / total if total else 0.0)
        elif stage in self._epochs and total:
            if stage != current.phase:
                current.phase, current.epochs = stage, 0
            # Early stopping may end a phase long before its last epoch: each has its own share.
            within = (current.epochs + done / total) / self._epochs[stage]
            finished = list(self._epochs).index(stage)
            current.fraction = 0.5 + 0.5 * (finished + within) / len(self._epochs)
        elif total:
            current.fraction = max(current.fraction, 0.5 * done / total)
        detail = f"{done}/{total}" if total else ""
        if not measuring:
            self._time_left.trial(trial.key, current.fraction)
        elif total:
            detail = f"{100 * done // total}%"
        self._bars.update(
            current.bar,
            description=f"{name}: {stage}",
            total=total or None,
            completed=done,
            detail=detail,
            visible=True,
        )

    def epoch(self, trial: Trial, phase: str, of: int, number: int, epoch: Epoch) -> None:
        """An epoch has ended."""
        current = self._of(trial)
        current.phase, current.epochs = phase, number
        current.losses.append(epoch.val_loss)
        if self._draws:
            text = (
                f"{_name(trial)}: {phase} {number}/{of}  {sparkline(current.losses)}  "
                f"validation {epoch.val_loss:.4f} {epoch.val_accuracy:.3f}"
            )
            self._bars.update(current.bar, description=text)
            return
        text = (
            f"{_name(trial)}: {phase} {number}/{of}  loss {epoch.loss:.4f}  "
            f"accuracy {epoch.accuracy:.3f}  "
            f"validation {epoch.val_loss:.4f} {epoch.val_accuracy:.3f}"
        )
        if self._is_live:
            self._bars.update(current.bar, description=text)
        else:
            self._line(text)

    def note(self, text: str) -> None:
        """Something worth reading."""
        self.console.print(Text(text, style="yellow"), soft_wrap=True)

    def record(self, record: Record) -> None:
        """A trial has ended, or has been measured."""
        if record.runtimes:
            self._measured(record)
            return
        self._time_left.end(record.trial.key)
        self._waiting.discard(record.trial.key)
        if ended := self._under_way.pop(record.trial.key, None):
            self._bars.remove_task(ended.bar)
        name = _name(record.trial)
        *cells, mark = self._cells(record)
        losses = [epoch.val_loss for phase in record.phases for epoch in phase.epochs]
        drawn = [sparkline(losses)] if self._draws else []
        trial = (record.trial.backbone, str(record.trial.seed))
        self._results.add_row(*trial, *cells, *drawn, mark)
        if record.status == "failed":
            self.console.print(Text(f"{name} failed: {record.reason}", style="red"), soft_wrap=True)
        elif not self._is_live:
            self._line(f"{name}: done, accuracy " + "  ".join(filter(None, (*cells, mark))))
        self._update_overall()

    def _of(self, trial: Trial) -> _UnderWay:
        """A trial that trains has a bar of its own; those being measured, in turns, share one."""
        key = trial.key if trial.key in self._waiting else ""
        if key not in self._under_way:
            bar = self._bars.add_task("", total=None, detail="", visible=False)
            self._under_way[key] = _UnderWay(bar)
        return self._under_way[key]

    def _measured(self, record: Record) -> None:
        name = _name(record.trial)
        for runtime in record.runtimes:
            if (result := (record.trial.key, runtime)) in self._told or self._is_earlier(runtime):
                continue
            self._told.append(result)
            if runtime.status == "failed":
                text = f"{name}, {runtime.name} failed: {runtime.reason}"
                self.console.print(Text(text, style="red"), soft_wrap=True)
                continue
            latency = percentile(self._evidence(record), 50, runtime.name)
            text = "not timed" if latency is None else f"p50 {latency:.1f} ms"
            self._line(f"{name}, {runtime.name}: {text}")
            for batch, why in runtime.failed_batches.items():
                text = f"{name}, {runtime.name}: no figures for batch {batch}: {why}"
                self.console.print(Text(text, style="yellow"), soft_wrap=True)

    def _is_earlier(self, runtime: RuntimeResult) -> bool:
        """Whether a runtime was timed before this command began."""
        return runtime.session is not None and runtime.session.started < self._since

    def _evidence(self, record: Record) -> Evidence:
        return Evidence(record, self._classes, self._folder)

    def _cells(self, record: Record) -> tuple[str, str, str]:
        if record.status == "failed":
            return "failed", "", ""
        accuracy = METRICS["accuracy"].compute(self._evidence(record))
        took = record.seconds["total"] - record.seconds["reused"]
        random = record.weights is not None and not record.weights.pretrained
        return (
            "-" if accuracy is None else f"{accuracy:.3f}",
            f"{took:.0f} s",
            "random init" if random else "",
        )

    @property
    def _is_live(self) -> bool:
        return self.console.is_terminal and not self.quiet

    @property
    def _draws(self) -> bool:
        """Whether the terminal shows block characters, and shows them in place."""
        return self._is_live and not self.console.options.ascii_only

    def _update_overall(self) -> None:
        left = f"about {human_seconds(self._time_left.seconds)} left"
        self._bars.update(self._overall, completed=self._time_left.share, detail=left)

    def _line(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        self._update_overall()
        parts: list[RenderableType] = [self._results] if self._results.row_count else []
        return Group(*parts, self._bars)


def human_seconds(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 90:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _name(trial: Trial) -> str:
    seed = f" seed {trial.seed}" if trial.seed else ""
    share = f" {100 * trial.fraction:g}% of train" if trial.fraction < 1 else ""
    return trial.backbone + seed + share
