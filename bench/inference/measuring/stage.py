"""All trained models of a run, rebuilt in one process and measured in turns.

One runtime at a time: each model is converted and loaded, then all of them are timed in interleaved
rounds, and the results are recorded before the next runtime. Seeds of a backbone share one model's
figures. Runs in a worker process, after all training.
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
from bench.inference.measuring.hardware import Calibration, matrix_peak
from bench.inference.measuring.memory import IsolatedProcesses, MemoryUse, inference_memory
from bench.inference.measuring.pending import (
    BUILDING,
    PREPARE_SECONDS,
    PREPARING,
    REBUILD_SECONDS,
    TIMING,
    Group,
    MeasuringProgress,
    groups_of,
    timing_seconds,
    with_results,
)
from bench.inference.measuring.recorded import Model, TimedRuntime, record_timed
from bench.inference.measuring.timing import (
    Deployment,
    TimedCall,
    calls_by_batch,
    deploy,
    interleave,
    share_done,
)
from bench.inference.runtimes import ModelSource, Runtime, choose_runtimes
from bench.models.backends.base import current
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
    """Measure what the job's trained trials still need; record each result as soon as it is known.

    Without `isolated` processes to measure memory in, the models' memory is left empty.
    """
    _Stage(job, listener, isolated).run()


class _Stage:
    def __init__(self, job: Job, listener: Listener, isolated: IsolatedProcesses | None) -> None:
        self.job, self.isolated = job, isolated
        self.told, self.renewed = listener, dict[str, Record]()
        self.folder = Path(job.folder)
        self.settings, self.asked = job.trials[0].settings, job.measuring
        keras.config.set_dtype_policy(self.settings.precision)
        self.device = current().device()
        self.threads = self.settings.threads or available_cores()
        self.runtimes = choose_runtimes(self.asked.runtimes)
        self.store = Store(Path(job.store), job.store_limit_bytes)
        self.joules = open_joule_counter() if self.device.kind == "gpu" else None
        self.started = utc_now()
        # Timed, and used again to explain mistakes: to rebuild one takes longer than to explain.
        self.rebuilt: dict[str, TrainedModel] = {}

    def run(self) -> None:
        run = read_run(self.folder)
        groups = groups_of(run, self.job, [runtime.name for runtime in self.runtimes])
        each = PREPARE_SECONDS + timing_seconds(self.asked.latency_seconds)
        total = sum(REBUILD_SECONDS + each * len(needs) for _, needs in groups)
        more = evaluations(run, self.job, self.rebuilt)
        total += sum(one.seconds for one in more)
        self.progress = MeasuringProgress(self.listener, total)
        if groups:
            self._time_runtimes(run, groups)
        for one in more:
            self._evaluate(run, one)

    def _time_runtimes(self, run: StoredRun, groups: Sequence[Group]) -> None:
        calibration, rate = Calibration(), matrix_peak()
        with ExitStack() as stack:
            models = self._models(run, groups, stack)
            for runtime in self.runtimes:
                if wanting := [model for model in models if runtime.name in model.needs]:
                    self._measure(runtime, wanting, run, calibration, rate)

    def listener(self, event: Event) -> None:
        """Pass an event on. Of records, the last is kept: the run on disk may lag behind."""
        if isinstance(event, RecordMeasured):
            self.renewed[event.record.trial.key] = event.record
        self.told(event)

    def _evaluate(self, run: StoredRun, one: Evaluation) -> None:
        """Compute what trials of earlier commands lack, or what none has had yet."""
        records = [self.renewed.get(record.trial.key, record) for record in one.records]
        trial = records[0].trial

        def told(done: int, total: int) -> None:
            self.progress.report(trial, one.what, within=one.seconds * done / max(total, 1))

        try:
            for record in one.compute(run, records, self.job, self.store, told):
                self.listener(RecordMeasured(record))
        except Exception as error:
            traceback.print_exc()
            self.listener(Note(f"{trial.name}, {one.what}: {failure_reason(error)}"))
        self.progress.add(one.seconds)

    def _models(self, run: StoredRun, groups: Sequence[Group], stack: ExitStack) -> list[Model]:
        models: dict[str, Model] = {}
        watched = [records[0] for records, needs in groups if REFERENCE in needs]
        for record in watched:
            self._start_memory(self.runtimes[0], record, Path())
        for records, needs in groups:
            self.progress.report(records[0].trial, BUILDING)
            try:
                models[records[0].trial.key] = self._model(run, records, needs, stack)
            except Exception as error:
                traceback.print_exc()
                failed = [
                    RuntimeResult(n, status="failed", reason=failure_reason(error)) for n in needs
                ]
                for record in records:
                    results = with_results(record, failed)
                    self.listener(RecordMeasured(replace(record, runtimes=results)))
            self.progress.add(REBUILD_SECONDS)
        for record in watched:
            # Collected last: it was measured during the building above, when nothing was timed.
            begun, memory = time.perf_counter(), self._memory()
            if model := models.get(record.trial.key):
                model.memory = memory
                model.seconds += time.perf_counter() - begun
        return list(models.values())

    def _model(
        self, run: StoredRun, records: list[Record], needs: tuple[str, ...], stack: ExitStack
    ) -> Model:
        begun = time.perf_counter()
        trial = records[0].trial
        train = pixels.get_entry(self.job.dataset, "train", trial.input_size, self.store).array()
        test = pixels.get_entry(self.job.dataset, "test", trial.input_size, self.store).array()
        trained = rebuild(run, records[0])
        if self.asked.heatmaps and records[0].pretrained:
            self.rebuilt[trial.key] = trained
        chosen = np.linspace(0, len(train) - 1, min(len(train), CALIBRATION_IMAGES)).astype(int)
        if not self.job.keep_artefacts:
            folder = stack.enter_context(self.store.temporary_folder())
        else:
            folder = artefact_folder(self.folder, trial)
        evidence = run.evidence_of(records[0])
        source = ModelSource(trained.classifier(), np.asarray(train[chosen]), folder, self.threads)
        return Model(
            records,
            needs,
            source,
            self._float32(run, records[0], needs, source),
            test,
            evidence.arrays["test_probabilities"],
            time.perf_counter() - begun,
        )

    def _float32(
        self, run: StoredRun, record: Record, needs: tuple[str, ...], source: ModelSource
    ) -> ModelSource:
        """Return the model in float32, where it computes in another precision and is converted."""
        plain = self.settings.precision == "float32"
        if plain or not any(r.artefact for r in self.runtimes if r.name in needs):
            return source
        return replace(source, model=rebuild(run, record, "float32").classifier())

    def _measure(
        self,
        runtime: Runtime,
        models: Sequence[Model],
        run: StoredRun,
        calibration: Calibration,
        rate: float,
    ) -> None:
        """Prepare one runtime of every model one by one, time them in turns, and record them."""
        timed: list[tuple[Model, TimedRuntime]] = []
        ready: list[tuple[Model, Deployment, dict[int, TimedCall]]] = []
        for model in models:
            self.progress.report(model.records[0].trial, PREPARING + runtime.name)
            begun = time.perf_counter()
            try:
                made = self._deploy(runtime, model)
            except Exception as error:
                traceback.print_exc()
                failed = RuntimeResult(runtime.name, status="failed", reason=failure_reason(error))
                timed.append((model, TimedRuntime(failed)))
                continue
            finally:
                model.seconds += time.perf_counter() - begun
                self.progress.add(PREPARE_SECONDS)
            found = calls_by_batch(
                made.call,
                model.images,
                made.seconds_per_image,
                seconds=self.asked.latency_seconds,
                device=self.device.kind,
                joules=self.joules,
            )
            ready.append((model, made, found))
        before, rounds = len(calibration.samples), 0
        if ready:
            trial, text = ready[0][0].records[0].trial, TIMING + runtime.name
            every = [call for _, _, calls in ready for call in calls.values()]
            seconds = len(ready) * timing_seconds(self.asked.latency_seconds)

            def between() -> None:
                calibration.sample()
                self.progress.report(trial, text, within=seconds * share_done(every))

            self.progress.report(trial, text)
            rounds = interleave(every, between=between)
            self.progress.add(seconds)
            timed += [(model, self._timed(made, turns)) for model, made, turns in ready]
        session = Session(
            started=self.started,
            backbones=tuple(model.records[0].trial.name for model, *_ in ready),
            threads=self.threads,
            rounds=rounds,
            matrix_rate=rate,
            calibration=tuple(calibration.samples[before:]),
            latency_seconds=self.asked.latency_seconds,
            node=self.job.node,
        )
        for model, one in timed:
            record_timed(model, one, session, run, self.listener)

    def _deploy(self, runtime: Runtime, model: Model) -> Deployment:
        source = model.float32 if runtime.artefact else model.source
        made = deploy(runtime, source, model.images, model.expected)
        memory = model.memory
        if runtime.name != REFERENCE:
            self._start_memory(runtime, model.records[0], source.folder)
            memory = self._memory()
        made.result = replace(
            made.result, memory_bytes=memory.process, device_memory_bytes=memory.device
        )
        return made

    def _start_memory(self, runtime: Runtime, record: Record, artefacts: Path) -> None:
        if self.isolated:
            self.isolated.submit(
                inference_memory,
                *(self.folder, record.trial.key, runtime.name, artefacts, self.threads),
            )

    def _memory(self) -> MemoryUse:
        found: MemoryUse | None = self.isolated.result() if self.isolated else None
        return found or MemoryUse()

    def _timed(self, made: Deployment, calls: Mapping[int, TimedCall]) -> TimedRuntime:
        """Return the durations; a batch size that failed is left out, a single image fails all."""
        result, done = made.result, {b: s for b, s in calls.items() if not s.failure}
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
        return TimedRuntime(result, arrays, made.probabilities)
