"""A listener that writes the events of `run --json`, a line each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.analysis.findings import Findings
from bench.cli import json_lines as lines
from bench.cli.json_lines import write
from bench.execution.progress import Planned, RunEvent
from bench.reports.formats import json_report
from bench.training.events import (
    DatasetListed,
    EpochEnded,
    Interrupted,
    Note,
    RunProgress,
    RuntimeMeasured,
    StageProgress,
    TaskProgress,
    TrialEnded,
    Warned,
    WritingReports,
)
from bench.types import Trial


class JsonEvents:
    """A listener that writes a run's events. Of what goes on, it writes what is new: another stage
    of a trial, another tenth of a task, another percent of the run."""

    def __init__(self) -> None:
        self._last: dict[str, object] = {}

    def __call__(self, event: RunEvent) -> None:
        match event:
            case Warned(text):
                write(lines.Caveat(text=text))
            case Note(text):
                write(lines.Message(text=text))
            case DatasetListed(description):
                write(lines.Dataset(description=description))
            case TaskProgress(task, done, total, step):
                if self._is_new(task, (step, 10 * done // total if total else 0)):
                    write(lines.Task(task=task, step=step, done=done, total=total))
            case Planned():
                write(_plan(event))
            case StageProgress(trial, stage):
                if self._is_new(trial.key, stage):
                    write(lines.Stage(**_of(trial), stage=stage))
            case EpochEnded(trial, phase, epochs, number, epoch, random):
                figures = asdict(epoch)
                if random:
                    figures |= {"accuracy": None, "val_accuracy": None}
                write(
                    lines.Epoch(**_of(trial), phase=phase, number=number, epochs=epochs, **figures)
                )
            case TrialEnded():
                write(_trial(event))
            case RuntimeMeasured(trial, result, latency):
                write(
                    lines.Runtime(
                        **_of(trial),
                        runtime=result.name,
                        status=result.status,
                        reason=result.reason,
                        latency_ms=latency,
                    )
                )
            case RunProgress(share, seconds):
                if self._is_new("", int(100 * share)):
                    write(lines.Progress(share=share, seconds_left=seconds))
            case Interrupted():
                write(lines.Interruption())
            case WritingReports():
                write(lines.Reports())

    def _is_new(self, what: str, value: object) -> bool:
        new = self._last.get(what) != value
        self._last[what] = value
        return new


def write_result(folder: Path, findings: Findings, exit_code: int) -> None:
    """Write how a run ended, with all that report.json holds."""
    report = json_report.content(findings)
    write(lines.Result(folder=str(folder), exit_code=exit_code, report=report))


def _plan(event: Planned) -> lines.Plan:
    return lines.Plan(
        folder=str(event.folder),
        trials=len(event.plan.trials),
        to_train=len(event.waiting),
        to_measure=len(event.unmeasured),
        seconds=event.schedule.total if event.schedule.known else None,
        skipped=event.plan.skipped,
    )


def _trial(event: TrialEnded) -> lines.EndedTrial:
    record = event.record
    return lines.EndedTrial(
        **_of(record.trial),
        status=record.status,
        reason=record.reason,
        weights=None if record.weights is None else record.weights.source,
        accuracy=event.accuracy,
        seconds=event.seconds,
    )


def _of(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.key,
        "backbone": trial.backbone,
        "input_size": trial.input_size,
        "seed": trial.seed,
        "fraction": trial.fraction,
    }
