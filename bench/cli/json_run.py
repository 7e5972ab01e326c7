"""A listener that writes the events of `run --json`, one per line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.analysis.findings import Findings
from bench.cli.json_lines import ACCURACY, TRIAL, write_event
from bench.execution.progress import RunEvent, RunPreview
from bench.reports.formats import json_report
from bench.system.files import fields_of
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
    """A listener that writes a run's events.

    Progress is written only for a new stage of a trial, tenth of a task or percent of the run.
    """

    def __init__(self) -> None:
        self._last: dict[str, object] = {}

    def __call__(self, event: RunEvent) -> None:
        match event:
            case Warned(text):
                write_event("warning", text=text)
            case Note(text):
                write_event("note", text=text)
            case DatasetListed(description):
                write_event("dataset", description=description)
            case TaskProgress(task, done, total, step):
                if self._is_new(task, (step, 10 * done // total if total else 0)):
                    write_event("task", **fields_of(event))
            case RunPreview():
                _write_plan(event)
            case StageProgress(trial, stage):
                if self._is_new(trial.key, stage):
                    write_event("stage", **_of(trial), stage=stage)
            case EpochEnded(trial, phase, epochs, number, epoch, random):
                figures = fields_of(epoch) | (dict.fromkeys(ACCURACY) if random else {})
                about = _of(trial) | figures
                write_event("epoch", **about, phase=phase, number=number, epochs=epochs)
            case TrialEnded():
                _write_trial(event)
            case RuntimeMeasured(trial, result, latency):
                write_event(
                    "runtime",
                    **_of(trial),
                    runtime=result.name,
                    status=result.status,
                    reason=result.reason,
                    latency_ms=latency,
                )
            case RunProgress(share):
                if self._is_new("", int(100 * share)):
                    write_event("progress", **fields_of(event))
            case Interrupted():
                write_event("interrupted")
            case WritingReports():
                write_event("reports")

    def _is_new(self, key: str, value: object) -> bool:
        new = self._last.get(key) != value
        self._last[key] = value
        return new


def write_result(folder: Path, findings: Findings, exit_code: int) -> None:
    """Write the exit code of a run, with the content of its report.json."""
    report = json_report.content(findings)
    write_event("result", folder=str(folder), exit_code=exit_code, report=report)


def _write_plan(event: RunPreview) -> None:
    write_event(
        "plan",
        folder=str(event.folder),
        trials=len(event.plan.trials),
        to_train=len(event.untrained),
        to_measure=len(event.unmeasured),
        seconds=event.schedule.total if event.schedule.known else None,
        skipped=event.plan.skipped,
    )


def _write_trial(event: TrialEnded) -> None:
    record = event.record
    write_event(
        "trial",
        **_of(record.trial),
        status=record.status,
        reason=record.reason,
        weights=None if record.weights is None else record.weights.source,
        accuracy=event.accuracy,
        seconds=event.seconds,
    )


def _of(trial: Trial) -> dict[str, Any]:
    return {"trial": trial.key} | {name: getattr(trial, name) for name in TRIAL[1:]}
