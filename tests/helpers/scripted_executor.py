"""An executor that trains nothing: a script determines how each trial ends, within milliseconds.

It implements `bench.execution.executors.Executor` and patches nothing, so that tests use the real
command line (`main(words, executor=ScriptedExecutor(...))`), resuming, measuring and reports.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from synthetic import Net, make_arrays, make_record

from bench.errors import StoppedError, WorkerDiedError
from bench.execution.executors import Executor
from bench.inference.measuring.pending import (
    model_to_explain,
    runtimes_needed,
    soup_candidates,
    soup_needed,
    with_results,
)
from bench.inference.runtimes import choose_runtimes
from bench.models.weights import LocatedWeights
from bench.protocol import TrainingProtocol
from bench.storage.arrays import TrainedWeights, read_arrays, write_arrays, write_trained
from bench.storage.records import SCHEMA, read_records
from bench.training.events import EpochEnded, Listener, RecordMade, RecordMeasured, StageProgress
from bench.training.job import Job
from bench.types import (
    Ingredient,
    Record,
    RuntimeResult,
    Session,
    Soup,
    Split,
    Trial,
    WeightsUsed,
)

PATIENCE = 30.0  # seconds after which something hangs
DIES = WorkerDiedError("killed by SIGKILL")
HANGS = "hangs"
MAX_EPOCHS = 8

Arrays = dict[str, NDArray[Any]]
Outcome = str | BaseException
"""How a trial ends: `ok`, `failed`, `hangs` (until the executor is closed), or an error that the
executor raises, as where a worker died or memory was short."""


def as_made(trial: Trial, arrays: Arrays) -> Arrays:
    """Return a trial's arrays unchanged."""
    return arrays


def all_ok(job: Job, trial: Trial) -> Outcome:
    """A script by which every trial succeeds."""
    return "ok"


def _soon_over(protocol: TrainingProtocol) -> TrainingProtocol:
    """Stop each phase early, as a hundred epochs take longer to show, to store and to draw than
    everything else in a command."""
    short = (replace(phase, epochs=min(phase.epochs, MAX_EPOCHS)) for phase in protocol.phases)
    return replace(protocol, phases=tuple(short))


@dataclass
class ScriptedExecutor(Executor):
    """An executor that ends trials by `script`; `nets` give the accuracy, the speed and the source
    of the weights of backbones."""

    script: Callable[[Job, Trial], Outcome] = all_ok
    nets: Mapping[str, Net] = field(default_factory=dict)
    edit: Callable[[Trial, Arrays], Arrays] = as_made
    ran: list[tuple[str, int]] = field(default_factory=list)  # backbone and seed, trained
    closed: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """End hanging trials."""
        self.closed.set()

    def run(self, job: Job, listener: Listener) -> None:
        """Make a record of each trial, with arrays and weights for successful ones."""
        for trial in job.trials:
            if job.task == "measure":
                self._measure(job, trial, listener)
                continue
            self.ran.append((trial.name, trial.seed))
            outcome = self.script(job, trial)
            if outcome == HANGS:
                assert self.closed.wait(PATIENCE), "nobody ended the executor"
                raise StoppedError("stopped")
            if isinstance(outcome, BaseException):
                raise outcome
            listener(RecordMade(self._train(job, trial, listener, outcome)))

    def _net(self, trial: Trial) -> Net:
        return self.nets.get(trial.name, Net(trial.name))

    def _train(self, job: Job, trial: Trial, listener: Listener, outcome: str) -> Record:
        folder, net = Path(job.folder), self._net(trial)
        asked: dict[str, Any] = {"command": job.command, "split_seed": job.split_seed}
        if outcome == "failed":
            return Record(SCHEMA, trial, "failed", "as the script says", **asked)
        record = make_record(net, trial, _soon_over(job.protocol))
        for phase in record.phases:
            listener(StageProgress(trial, phase.name, 1, 1, "phase"))
            for number, epoch in enumerate(phase.epochs, 1):
                listener(EpochEnded(trial, phase.name, len(phase.epochs), number, epoch))
        dataset = job.dataset
        if job.task == "probe":  # which is judged on some training images
            train = dataset.splits["train"]
            judged = Split(train.ids, tuple(train.labels[place] for place in job.sample))
            dataset = replace(dataset, splits={**dataset.splits, "validation": judged})
        arrays = make_arrays(net, dataset, trial.seed, phases=len(record.phases))
        arrays = self.edit(trial, arrays)
        write_trained(folder, trial.key, TrainedWeights({}, (np.zeros(1),)))
        if trial.name not in self.nets:
            found = job.weights or LocatedWeights("random init", "", "")
            used = WeightsUsed(found.source, found.location, found.sha256)
            record = replace(record, weights=used)
        return replace(
            record,
            runtimes=(),
            notes=job.notes,
            accumulation=job.accumulation,
            arrays_sha256=write_arrays(folder, trial.key, arrays),
            **asked,
        )

    def _measure(self, job: Job, trial: Trial, listener: Listener) -> None:
        folder, seconds = Path(job.folder), job.measuring.latency_seconds
        (record,) = (r for r in read_records(folder) if r.trial.key == trial.key)
        names = [runtime.name for runtime in choose_runtimes(job.measuring.runtimes)]
        session = Session(
            "2025-03-01T12:00:00+00:00", (), 1, 4, 1e11, (0.05, 0.05), seconds, job.node
        )
        arrays = read_arrays(folder, record, len(job.dataset.classes))
        results = []
        for name in runtimes_needed(record, names, seconds):
            results.append(RuntimeResult(name, (1,), session=session))
            arrays[f"latency_{name}_b1"] = np.full(64, self._net(trial).latency_ms / 1000)
        digest = write_arrays(folder, trial.key, arrays, replaces=record.arrays_sha256)
        runtimes = with_results(record, results)
        record = replace(record, runtimes=runtimes, session=session, arrays_sha256=digest)
        if job.measuring.heatmaps and model_to_explain([record], folder):
            record = replace(record, seconds={**record.seconds, "heatmaps": 0.0})
        of_backbone = [r for r in read_records(folder) if r.trial.name == trial.name]
        averaged = soup_candidates(of_backbone, folder) if job.measuring.soups else []
        if soup_needed(averaged, of_backbone):
            tried = (Ingredient(r.trial.seed, r.finished, 0.0, r is averaged[0]) for r in averaged)
            record = replace(record, soup=Soup(tuple(tried)))
        listener(RecordMeasured(record))
