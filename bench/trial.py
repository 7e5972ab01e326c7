"""The trials of one backbone, from its declaration to their records: the whole method on one page.

Seeds share what does not depend on the seed: the network, the frozen activations, the compiled
steps and the timing. Runs in a worker process; knows nothing of processes, displays or files other
than the run's arrays.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from bench import datasets, weights
from bench.augment import PLAIN, View, fixed_views
from bench.backends.base import Array, current
from bench.environment import environment
from bench.errors import BenchError, TrialError
from bench.features import Frozen, Rows
from bench.job import Job, Listener
from bench.network import Network, build_head, initialise_head
from bench.protocol import Phase
from bench.records import SCHEMA, write_arrays
from bench.registry import BACKBONES
from bench.runtimes.base import QUERIES_FOR_P90, RUNTIMES, time_queries
from bench.store import Entry, Store
from bench.train import Outcome, PhaseTrainer, restore, snapshot
from bench.types import (
    SPLITS,
    PhaseResult,
    Record,
    RuntimeResult,
    SplitName,
    Trial,
    WeightsUsed,
)

THROUGHPUT_BATCH = {"cpu": 8, "gpu": 64}
THROUGHPUT_QUERIES = 3


def run_trials(job: Job, listener: Listener, imports_seconds: float) -> None:
    """Run the job's trials in order; each ends in a record, whatever happens."""
    setup: _Setup | None = None
    for trial in job.trials:
        started = _now()
        try:
            if setup is None:
                _check_device(trial)
                setup = _Setup(job, trial, listener, imports_seconds)
            listener.record(replace(setup.run(trial), started=started, finished=_now()))
        except Exception as error:
            traceback.print_exc()
            listener.record(
                Record(
                    schema=SCHEMA,
                    trial=trial,
                    status="failed",
                    reason=_reason(error),
                    started=started,
                    finished=_now(),
                    environment=environment(),
                )
            )


class _Setup:
    """What the seeds share."""

    def __init__(self, job: Job, trial: Trial, listener: Listener, imports_seconds: float) -> None:
        self.job, self.listener = job, listener
        self.folder = Path(job.folder)
        self.backend = current()
        self.device = self.backend.device()
        self.backbone = BACKBONES[trial.backbone]
        self.settings = trial.settings
        self.seconds: dict[str, float] = {"imports": imports_seconds}
        store = Store(Path(job.store), job.store_limit_bytes)

        begun = time.perf_counter()
        listener.stage(trial, "building")
        self.network = Network(self.backbone, trial.input_size, job.protocol.head.pooling)
        self.weights: WeightsUsed = weights.load(self.network.base, self.backbone, job.weights)
        self.head = build_head(
            job.protocol.head, self.network.features_shape, len(job.dataset.classes)
        )
        self.seconds["build"] = time.perf_counter() - begun

        self.images: dict[SplitName, Entry] = {
            split: datasets.images(job.dataset, split, trial.input_size, store) for split in SPLITS
        }
        self.seconds["data"] = sum(entry.cost_seconds for entry in self.images.values())
        self.frozen = Frozen(
            self.network,
            self.weights.sha256,
            self.images,
            self.backend,
            store if self.settings.cache else None,
        )
        self.cuts = _cuts(self.network, job.protocol.phases)
        self.rows = self._rows(trial)
        self.trainers: list[PhaseTrainer] = []
        self.initial = snapshot(self.network.base.weights)
        self.timings: _Timings | None = None
        # What later seeds find done; the first seed's own share is taken off again.
        self.shared_seconds = 0.0

    def run(self, trial: Trial) -> Record:
        """Train and measure one seed."""
        first = not self.trainers
        restore(self.network.base.weights, self.initial)
        initialise_head(self.head, trial.seed)
        results: list[PhaseResult] = []
        after: list[Array] = []
        for index, phase in enumerate(self.job.protocol.phases):
            results.append(self._phase(trial, index, phase))
            after.append(self.trainers[index].predict(self.rows["test", PLAIN][self.cuts[index]]))

        begun = time.perf_counter()
        last = self.trainers[-1]
        arrays = {
            "test_labels": self._labels("test"),
            "test_probabilities": after[-1],
            "validation_labels": self._labels("validation"),
            "validation_probabilities": last.predict(self.rows["validation", PLAIN][self.cuts[-1]]),
            "phase_test_probabilities": np.stack(after),
        }
        measured = time.perf_counter() - begun
        if self.timings is None:
            self.timings = self._time(trial)
        write_arrays(self.folder, trial.key, {**arrays, **self.timings.arrays})
        classifier = self.network.classifier(self.head)
        return Record(
            schema=SCHEMA,
            trial=trial,
            status="ok",
            weights=self.weights,
            parameters=classifier.count_params(),
            size_bytes=sum(int(np.prod(w.shape)) * 4 for w in classifier.weights),
            phases=tuple(results),
            runtimes=self.timings.results,
            seconds=self._account(first, results, measured),
            environment=environment() | {"device": vars(self.device)},
            notes=tuple(self.frozen.notes)
            + (() if first else ("timed once, with the first seed of this backbone",)),
        )

    def _rows(self, trial: Trial) -> dict[tuple[SplitName, View], dict[str, Rows]]:
        """All rows that do not change from epoch to epoch, in as few passes as possible."""
        cuts = set(self.cuts)
        wanted: dict[tuple[SplitName, View], set[str]] = {
            ("validation", PLAIN): cuts,
            ("test", PLAIN): cuts,
        }
        for phase, cut in zip(self.job.protocol.phases, self.cuts, strict=True):
            for view in self._views(phase):
                wanted.setdefault(("train", view), set()).add(cut)
        rows: dict[tuple[SplitName, View], dict[str, Rows]] = {}
        for (split, view), needed in wanted.items():
            stage = f"frozen part, {split}" + ("" if view == PLAIN else f" ({view.name})")
            progress = partial(self.listener.stage, trial, stage)
            rows[split, view] = self.frozen.rows(split, view, sorted(needed), progress)
        return rows

    def _views(self, phase: Phase) -> Sequence[View]:
        """The fixed views of a phase; none where each epoch draws its own."""
        return fixed_views(phase.augment) or ()

    def _phase(self, trial: Trial, index: int, phase: Phase) -> PhaseResult:
        cut = self.cuts[index]
        self.network.unfreeze(phase)
        if index == len(self.trainers):
            tail = self.network.tail(cut, self.head, phase)
            self.trainers.append(PhaseTrainer(phase, index, tail, self.backend))
        trainer = self.trainers[index]
        validation = self.rows["validation", PLAIN][cut]
        compile_seconds = trainer.compile(validation, self.settings.batch_size)
        outcome: Outcome = trainer.run(
            self._views_of(trial, index, phase, cut),
            self._labels("train"),
            validation,
            self._labels("validation"),
            seed=trial.seed,
            batch_size=self.settings.batch_size,
            on_batch=partial(self.listener.stage, trial, phase.name),
            on_epoch=partial(self.listener.epoch, trial, phase.name, phase.epochs),
        )
        return PhaseResult(
            name=phase.name,
            cut=cut,
            views=self._describe_views(phase),
            trainable_parameters=trainer.trainable_parameters,
            best_epoch=outcome.best_epoch,
            stopped_early=outcome.stopped_early,
            epochs=outcome.epochs,
            compile_seconds=compile_seconds,
            train_seconds=outcome.train_seconds,
        )

    def _views_of(
        self, trial: Trial, index: int, phase: Phase, cut: str
    ) -> Callable[[int], Sequence[Rows]]:
        fixed = self._views(phase)
        if fixed:
            views = [self.rows["train", view][cut] for view in fixed]
            return lambda epoch: views

        def drawn(epoch: int) -> Sequence[Rows]:
            seed = (trial.seed, index, epoch)
            view = View(f"epoch {epoch}", augment=phase.augment, seed=seed)
            return [self.frozen.stream("train", view, cut)]

        return drawn

    def _describe_views(self, phase: Phase) -> str:
        cached = "cached" if self.settings.cache else "not cached"
        fixed = self._views(phase)
        if not fixed:
            return "drawn anew every epoch; the frozen part ran each time"
        if len(fixed) == 1:
            return f"one view, {cached}"
        return f"{len(fixed)} views, {cached}, drawn per image and epoch"

    def _labels(self, split: SplitName) -> Array:
        return np.asarray(self.job.dataset.splits[split].labels, dtype=np.int64)

    def _time(self, trial: Trial) -> _Timings:
        """Time the whole model, pixels to probabilities, through the reference runtime."""
        self.listener.stage(trial, "measuring latency")
        begun = time.perf_counter()
        model = self.network.classifier(self.head)
        images = self.images["test"].array()
        runtime = RUNTIMES["keras"]
        arrays: dict[str, Array] = {}
        large = THROUGHPUT_BATCH[self.device.kind]
        call = runtime.prepare(model, 1)
        start = time.perf_counter()
        call(np.asarray(images[:1]))
        compile_seconds = time.perf_counter() - start
        for batch, least in ((1, QUERIES_FOR_P90), (large, THROUGHPUT_QUERIES)):
            sample = np.resize(images[:batch], (batch, *images.shape[1:]))
            timing = time_queries(call, sample, self.settings.latency_seconds, least)
            arrays[f"latency_{runtime.name}_b{batch}"] = timing.timed
            arrays[f"warmup_{runtime.name}_b{batch}"] = timing.warmup
        result = RuntimeResult(runtime.name, (1, large), compile_seconds)
        return _Timings((result,), arrays, time.perf_counter() - begun)

    def _account(
        self, first: bool, phases: Sequence[PhaseResult], predicted: float
    ) -> Mapping[str, float]:
        """Seconds as from cold caches, and how many of them were not spent in this trial."""
        assert self.timings is not None  # the model was timed before it is accounted for
        ledger = self.frozen.ledger
        compiled = sum(p.compile_seconds for p in phases)
        if first:
            self.shared_seconds = compiled
        seconds = self.seconds | {
            "features": ledger.spent_seconds + ledger.reused_seconds,
            "compile": self.shared_seconds + self.frozen.compile_seconds,
            "train": sum(p.train_seconds for p in phases),
            "measure": self.timings.seconds + predicted,
        }
        reused = seconds["data"] + ledger.reused_seconds
        if not first:
            shared = ("imports", "data", "build", "features", "compile")
            reused = sum(seconds[name] for name in shared) + self.timings.seconds
        return seconds | {"total": sum(seconds.values()), "reused": reused}


@dataclass(frozen=True)
class _Timings:
    results: tuple[RuntimeResult, ...]
    arrays: Mapping[str, Array]
    seconds: float


def _cuts(network: Network, phases: Sequence[Phase]) -> list[str]:
    """Where each phase starts from. Never deeper than an earlier phase trained: what that phase
    changed is no longer what the store holds."""
    cuts: list[str] = []
    for phase in phases:
        cut = network.unfreeze(phase)
        cuts.append(min([cut, *cuts], key=network.depth))
    return cuts


def _check_device(trial: Trial) -> None:
    found = current().device()
    if trial.settings.device not in ("auto", found.kind):
        raise TrialError(
            f"--device {trial.settings.device} was asked for, but {found.framework} finds only a "
            f"{found.kind} here."
        )


def _reason(error: Exception) -> str:
    if isinstance(error, BenchError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
