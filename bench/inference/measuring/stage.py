"""The measuring stage: rebuild all trained models of a run in one process, and time them in turns.

For one runtime after another, each model is converted and loaded, then all of them are timed in
interleaved rounds, and the results are recorded. Seeds of a backbone share one model's figures. The
stage runs in a worker process, after all training.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from bench.data import pixels
from bench.errors import failure_reason
from bench.inference.measuring.evaluation import Evaluation, evaluations
from bench.inference.measuring.hardware import Calibration, best_matrix_rate
from bench.inference.measuring.memory import IsolatedProcesses, MemoryUse, measure_inference
from bench.inference.measuring.pending import (
    BUILDING,
    PREPARE_SECONDS,
    PREPARING,
    REBUILD_SECONDS,
    TIMING,
    Group,
    MeasuringProgress,
    pending_groups,
    timing_seconds,
    with_results,
)
from bench.inference.measuring.recorded import MeasuredModel, TimedRuntime, record_runtime
from bench.inference.measuring.timing import (
    Deployment,
    TimedCall,
    deploy,
    fraction_done,
    interleave,
    prepare_calls,
)
from bench.inference.runtimes import ModelSource, Runtime, choose_runtimes
from bench.models.backends.base import current_backend
from bench.models.rebuild import TrainedModel, rebuild
from bench.storage.arrays import artefact_folder
from bench.storage.cache import Store
from bench.storage.records import StoredRun, read_run
from bench.system.environment import available_cores, open_joule_counter, utc_now
from bench.training.events import Event, Listener, Note, RecordMeasured
from bench.training.job import Job
from bench.types import REFERENCE, Record, RuntimeResult, Session

CALIBRATION_IMAGES = 100


def measure(job: Job, listener: Listener, isolated: IsolatedProcesses | None = None) -> None:
    """Make the missing measurements of the job's trials; record each as soon as it is known.

    Without `isolated` processes to measure memory in, the memory of the models is left empty.
    """
    _Stage(job, listener, isolated).run()


class _Stage:
    """The measuring of one job, with the settings and state that its steps share."""

    def __init__(self, job: Job, listener: Listener, isolated: IsolatedProcesses | None) -> None:
        self.job, self.isolated = job, isolated
        self.pass_on, self.latest = listener, dict[str, Record]()
        self.folder = Path(job.folder)
        self.settings, self.measuring = job.trials[0].settings, job.measuring
        keras.config.set_dtype_policy(self.settings.precision)
        self.device = current_backend().device()
        self.threads = self.settings.threads or available_cores()
        self.runtimes = choose_runtimes(self.measuring.runtimes)
        self.store = Store(Path(job.store), job.store_limit_bytes)
        self.joules = open_joule_counter() if self.device.kind == "gpu" else None
        self.started = utc_now()
        # Timed models by trial, to explain mistakes with: rebuilding takes longer than that.
        self.rebuilt: dict[str, TrainedModel] = {}

    def run(self) -> None:
        run = read_run(self.folder)
        groups = pending_groups(run, self.job, [runtime.name for runtime in self.runtimes])
        each = PREPARE_SECONDS + timing_seconds(self.measuring.latency_seconds)
        total = sum(REBUILD_SECONDS + each * len(names) for _, names in groups)
        more = evaluations(run, self.job, self.rebuilt)
        total += sum(one.seconds for one in more)
        self.progress = MeasuringProgress(self.listener, total)
        if groups:
            self._time_runtimes(run, groups)
        for evaluation in more:
            self._evaluate(run, evaluation)

    def _time_runtimes(self, run: StoredRun, groups: Sequence[Group]) -> None:
        calibration, rate = Calibration(), best_matrix_rate()
        with ExitStack() as stack:
            models = self._build_models(run, groups, stack)
            for runtime in self.runtimes:
                if chosen := [model for model in models if runtime.name in model.runtimes]:
                    self._measure(runtime, chosen, run, calibration, rate)

    def listener(self, event: Event) -> None:
        """Pass an event on, and keep the last record of each trial: that on disk may be older."""
        if isinstance(event, RecordMeasured):
            self.latest[event.record.trial.key] = event.record
        self.pass_on(event)

    def _evaluate(self, run: StoredRun, evaluation: Evaluation) -> None:
        """Compute one evaluation; an error becomes a note, and other evaluations follow."""
        records = [self.latest.get(record.trial.key, record) for record in evaluation.records]
        trial, title, seconds = records[0].trial, evaluation.title, evaluation.seconds

        def report(done: int, total: int) -> None:
            self.progress.report(trial, title, within=seconds * done / max(total, 1))

        try:
            for record in evaluation.compute(run, records, self.job, self.store, report):
                self.listener(RecordMeasured(record))
        except Exception as error:
            traceback.print_exc()
            self.listener(Note(f"{trial.name}, {title}: {failure_reason(error)}"))
        self.progress.add(seconds)

    def _build_models(
        self, run: StoredRun, groups: Sequence[Group], stack: ExitStack
    ) -> list[MeasuredModel]:
        models: dict[str, MeasuredModel] = {}
        watched = [records[0] for records, names in groups if REFERENCE in names]
        for record in watched:
            self._start_memory(self.runtimes[0], record, Path())
        for records, names in groups:
            self.progress.report(records[0].trial, BUILDING)
            try:
                models[records[0].trial.key] = self._build_model(run, records, names, stack)
            except Exception as error:
                traceback.print_exc()
                failed = [
                    RuntimeResult(n, status="failed", reason=failure_reason(error)) for n in names
                ]
                for record in records:
                    results = with_results(record, failed)
                    self.listener(RecordMeasured(replace(record, runtimes=results)))
            self.progress.add(REBUILD_SECONDS)
        for record in watched:
            # Collected last, as it was measured in parallel with the building above.
            begun, memory = time.perf_counter(), self._collect_memory()
            if model := models.get(record.trial.key):
                model.memory = memory
                model.seconds += time.perf_counter() - begun
        return list(models.values())

    def _build_model(
        self, run: StoredRun, records: list[Record], names: tuple[str, ...], stack: ExitStack
    ) -> MeasuredModel:
        begun = time.perf_counter()
        trial = records[0].trial
        train = pixels.get_entry(self.job.dataset, "train", trial.input_size, self.store).array()
        test = pixels.get_entry(self.job.dataset, "test", trial.input_size, self.store).array()
        trained = rebuild(run, records[0])
        if self.measuring.heatmaps and records[0].pretrained:
            self.rebuilt[trial.key] = trained
        chosen = np.linspace(0, len(train) - 1, min(len(train), CALIBRATION_IMAGES)).astype(int)
        if not self.job.keep_artefacts:
            folder = stack.enter_context(self.store.temporary_folder())
        else:
            folder = artefact_folder(self.folder, trial)
        evidence = run.evidence_of(records[0])
        source = ModelSource(trained.classifier(), np.asarray(train[chosen]), folder, self.threads)
        return MeasuredModel(
            records,
            names,
            source,
            self._float32_source(run, records[0], names, source),
            test,
            evidence.arrays["test_probabilities"],
            time.perf_counter() - begun,
        )

    def _float32_source(
        self, run: StoredRun, record: Record, names: tuple[str, ...], source: ModelSource
    ) -> ModelSource:
        """Return the model in float32 if it has another precision and is to be converted."""
        plain = self.settings.precision == "float32"
        if plain or not any(r.artefact for r in self.runtimes if r.name in names):
            return source
        return replace(source, model=rebuild(run, record, "float32").classifier())

    def _measure(
        self,
        runtime: Runtime,
        models: Sequence[MeasuredModel],
        run: StoredRun,
        calibration: Calibration,
        rate: float,
    ) -> None:
        """Prepare the models in one runtime, time them in turns, and record the results."""
        timed: list[tuple[MeasuredModel, TimedRuntime]] = []
        ready: list[tuple[MeasuredModel, Deployment, dict[int, TimedCall]]] = []
        for model in models:
            self.progress.report(model.records[0].trial, PREPARING + runtime.name)
            begun = time.perf_counter()
            try:
                deployment = self._deploy(runtime, model)
            except Exception as error:
                traceback.print_exc()
                failed = RuntimeResult(runtime.name, status="failed", reason=failure_reason(error))
                timed.append((model, TimedRuntime(failed)))
                continue
            finally:
                model.seconds += time.perf_counter() - begun
                self.progress.add(PREPARE_SECONDS)
            found = prepare_calls(
                deployment.call,
                model.images,
                deployment.seconds_per_image,
                seconds=self.measuring.latency_seconds,
                device=self.device.kind,
                joules=self.joules,
            )
            ready.append((model, deployment, found))
        before, rounds = len(calibration.samples), 0
        if ready:
            trial, text = ready[0][0].records[0].trial, TIMING + runtime.name
            every = [call for _, _, calls in ready for call in calls.values()]
            seconds = len(ready) * timing_seconds(self.measuring.latency_seconds)

            def between() -> None:
                calibration.sample()
                self.progress.report(trial, text, within=seconds * fraction_done(every))

            self.progress.report(trial, text)
            rounds = interleave(every, between=between)
            self.progress.add(seconds)
            timed += [
                (model, self._collect_durations(prepared, calls))
                for model, prepared, calls in ready
            ]
        session = Session(
            started=self.started,
            backbones=tuple(model.records[0].trial.name for model, *_ in ready),
            threads=self.threads,
            rounds=rounds,
            matrix_rate=rate,
            calibration=tuple(calibration.samples[before:]),
            latency_seconds=self.measuring.latency_seconds,
            node=self.job.node,
        )
        for model, one in timed:
            record_runtime(model, one, session, run, self.listener)

    def _deploy(self, runtime: Runtime, model: MeasuredModel) -> Deployment:
        source = model.float32 if runtime.artefact else model.source
        deployment = deploy(runtime, source, model.images, model.expected)
        memory = model.memory
        if runtime.name != REFERENCE:
            self._start_memory(runtime, model.records[0], source.folder)
            memory = self._collect_memory()
        deployment.result = replace(
            deployment.result, memory_bytes=memory.process, device_memory_bytes=memory.device
        )
        return deployment

    def _start_memory(self, runtime: Runtime, record: Record, artefacts: Path) -> None:
        if self.isolated:
            self.isolated.submit(
                measure_inference,
                *(self.folder, record.trial.key, runtime.name, artefacts, self.threads),
            )

    def _collect_memory(self) -> MemoryUse:
        found: MemoryUse | None = self.isolated.result() if self.isolated else None
        return found or MemoryUse()

    def _collect_durations(
        self, deployment: Deployment, calls: Mapping[int, TimedCall]
    ) -> TimedRuntime:
        """Return the durations by batch size; if batch size 1 failed, the result is a failure."""
        result, done = deployment.result, {b: s for b, s in calls.items() if not s.failure}
        failed = {str(b): s.failure for b, s in calls.items() if s.failure}
        if 1 not in done:
            return TimedRuntime(RuntimeResult(result.name, status="failed", reason=failed["1"]))
        result = replace(
            result,
            batches=tuple(done),
            joules={str(b): s.energy for b, s in done.items()} if self.joules else {},
            failed_batches=failed,
        )
        arrays = {f"latency_{result.name}_b{b}": np.asarray(s.timed) for b, s in done.items()}
        arrays |= {f"warmup_{result.name}_b{b}": np.asarray(s.warmup) for b, s in done.items()}
        return TimedRuntime(result, arrays, deployment.probabilities)
