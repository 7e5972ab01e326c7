"""All trained models of a run, made again in one process, and measured in turns.

A runtime at a time: each model is converted and loaded, then all of them are timed in interleaved
rounds. Seeds of a backbone share one model's figures. Runs in a worker process, after all training.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench import datasets
from bench.backends.base import Array, current
from bench.environment import available_cores
from bench.errors import reason
from bench.job import Job, Listener
from bench.measuring.alone import Alone
from bench.measuring.deployment import Deployment, deploy
from bench.measuring.energy import joule_counter
from bench.measuring.inference_memory import Taken, inference_memory
from bench.measuring.products import Calibration, matrix_peak
from bench.measuring.rounds import Subject, interleave
from bench.rebuild import rebuild
from bench.records import Evidence, Run, load_run, write_arrays
from bench.runtimes import choose_runtimes
from bench.runtimes.base import REFERENCE, Runtime, Source
from bench.statistics import SAMPLES_FOR_PERCENTILE
from bench.store import Store
from bench.trained import artefact_folder, weights_path
from bench.types import Record, RuntimeResult, Session

SWEEP = {"cpu": (1, 8, 32), "gpu": (1, 8, 32, 128, 512)}  # batch sizes
SWEEP_SHARE = 0.25  # of the seconds of batch 1, for each larger batch
SWEEP_QUERIES = 3
SWEEP_OVERTIME = 3  # times the seconds of batch 1 that a larger batch may be expected to take
CALIBRATION_IMAGES = 100
SHARED = "timed with seed {seed} of this backbone, which stands for all its seeds"


@dataclass
class _Model:
    """One trained model, and the records that its figures go to; the first is its own."""

    records: Sequence[Record]
    source: Source
    float32: Source  # what is converted: an artefact's own name says what it computes in
    images: Array  # of the test split
    expected: Array
    seconds: float
    memory: Taken = field(default_factory=Taken)  # of the Keras model
    results: list[RuntimeResult] = field(default_factory=list)
    timings: dict[str, Array] = field(default_factory=dict)
    answers: dict[str, Array] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.records[0].trial.backbone


def measure(job: Job, listener: Listener, alone: Alone | None = None) -> None:
    """Measure the job's trials, which are trained; every one of them is recorded again.

    Without a process for memory that is `alone`, what the models take is left empty.
    """
    _Stage(job, listener, alone).run()


class _Stage:
    def __init__(self, job: Job, listener: Listener, alone: Alone | None) -> None:
        self.job, self.listener, self.alone = job, listener, alone
        self.folder = Path(job.folder)
        self.settings = job.trials[0].settings
        keras.config.set_dtype_policy(self.settings.precision)
        self.backend = current()
        self.device = self.backend.device()
        self.threads = self.settings.threads or available_cores()
        self.runtimes = choose_runtimes(self.settings.runtimes)[0]
        self.store = Store(Path(job.store), job.store_limit_bytes)
        self.joules = joule_counter() if self.device.kind == "gpu" else None
        self.rounds = 0

    def run(self) -> None:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        calibration = Calibration(self.backend, self.device.kind)
        rate = matrix_peak(self.backend, self.device.kind)
        run = load_run(self.folder)
        with ExitStack() as stack:
            models = self._models(run, stack)
            for runtime in self.runtimes:
                self._measure(runtime, models, calibration.sample)
            session = Session(
                started=started,
                backbones=tuple(model.name for model in models),
                threads=self.threads,
                rounds=self.rounds,
                matrix_rate=rate,
                calibration=tuple(calibration.samples),
            )
            for model in models:
                self._record(model, session)

    def _models(self, run: Run, stack: ExitStack) -> list[_Model]:
        models: dict[str, _Model] = {}
        groups = _groups(self.job, run)
        for records in groups:
            self._ask_memory(self.runtimes[0], records[0], Path())
        for records in groups:
            self.listener.stage(records[0].trial, "building for measuring")
            try:
                models[records[0].trial.key] = self._model(run, records, stack)
            except Exception as error:
                traceback.print_exc()
                failed = RuntimeResult(REFERENCE, status="failed", reason=reason(error))
                for record in records:
                    self.listener.record(replace(record, runtimes=(failed,)))
        for records in groups:
            # Looked at last: it went on beside the building above, where nothing was timed.
            begun, memory = time.perf_counter(), self._memory()
            if model := models.get(records[0].trial.key):
                model.memory = memory
                model.seconds += time.perf_counter() - begun
        return list(models.values())

    def _model(self, run: Run, records: Sequence[Record], stack: ExitStack) -> _Model:
        begun = time.perf_counter()
        trial = records[0].trial
        train = datasets.images(self.job.dataset, "train", trial.input_size, self.store).array()
        test = datasets.images(self.job.dataset, "test", trial.input_size, self.store).array()
        classifier = rebuild(run, records[0]).classifier()
        chosen = np.linspace(0, len(train) - 1, min(len(train), CALIBRATION_IMAGES)).astype(int)
        if not self.job.keep_artefacts:
            folder = stack.enter_context(self.store.workplace())
        else:
            folder = artefact_folder(self.folder, trial)
        evidence = Evidence(records[0], run.dataset.classes, run.folder)
        source = Source(classifier, np.asarray(train[chosen]), folder, self.threads)
        return _Model(
            records,
            source,
            self._float32(run, records[0], source),
            test,
            evidence.arrays["test_probabilities"],
            time.perf_counter() - begun,
        )

    def _float32(self, run: Run, record: Record, source: Source) -> Source:
        """The same model in float32, where it is not that and something will be converted."""
        plain = self.settings.precision == "float32"
        if plain or not any(runtime.artefact for runtime in self.runtimes):
            return source
        return replace(source, model=rebuild(run, record, "float32").classifier())

    def _measure(
        self, runtime: Runtime, models: Sequence[_Model], between: Callable[[], None]
    ) -> None:
        """One runtime of every model: made ready one by one, then timed in turns."""
        ready: list[tuple[_Model, Deployment, dict[int, Subject]]] = []
        for model in models:
            self.listener.stage(model.records[0].trial, f"preparing {runtime.name}")
            begun = time.perf_counter()
            try:
                source = model.float32 if runtime.artefact else model.source
                made = deploy(runtime, source, model.images, model.expected)
                memory = model.memory
                if runtime.name != REFERENCE:
                    self._ask_memory(runtime, model.records[0], source.folder)
                    memory = self._memory()
            except Exception as error:
                traceback.print_exc()
                failed = RuntimeResult(runtime.name, status="failed", reason=reason(error))
                model.results.append(failed)
                continue
            finally:
                model.seconds += time.perf_counter() - begun
            made.result = replace(
                made.result, memory_bytes=memory.process, device_memory_bytes=memory.device
            )
            ready.append((model, made, self._subjects(model, made)))
        if not ready:
            return
        self.listener.stage(ready[0][0].records[0].trial, f"timing {runtime.name}, all in turns")
        turns = [subject for _, _, subjects in ready for subject in subjects.values()]
        self.rounds = max(self.rounds, interleave(turns, seed=0, between=between))
        for model, made, subjects in ready:
            self._keep(model, made, subjects)

    def _ask_memory(self, runtime: Runtime, record: Record, artefacts: Path) -> None:
        if self.alone:
            self.alone.ask(
                inference_memory,
                *(self.folder, record.trial.key, runtime.name, artefacts, self.threads),
            )

    def _memory(self) -> Taken:
        found: Taken | None = self.alone.answer() if self.alone else None
        return found or Taken()

    def _subjects(self, model: _Model, made: Deployment) -> dict[int, Subject]:
        """What is timed: one image at a time, and larger batches as far as the time allows."""
        seconds = self.settings.latency_seconds
        subjects = {}
        for batch in SWEEP[self.device.kind]:
            single = batch == 1
            expected = made.seconds_an_image * batch * (SWEEP_QUERIES + 1)
            if not single and expected > SWEEP_OVERTIME * seconds:
                break
            subjects[batch] = Subject(
                call=made.call,
                images=np.resize(model.images[:batch], (batch, *model.images.shape[1:])),
                seconds=seconds if single else SWEEP_SHARE * seconds,
                least=SAMPLES_FOR_PERCENTILE[90] if single else SWEEP_QUERIES,
                joules=self.joules,
            )
        return subjects

    def _keep(self, model: _Model, made: Deployment, subjects: dict[int, Subject]) -> None:
        name = made.result.name
        joules = {str(b): s.energy for b, s in subjects.items()} if self.joules else {}
        model.results.append(replace(made.result, batches=tuple(subjects), joules=joules))
        for batch, subject in subjects.items():
            model.timings[f"latency_{name}_b{batch}"] = np.asarray(subject.timed)
            model.timings[f"warmup_{name}_b{batch}"] = np.asarray(subject.warmup)
            model.seconds += sum(subject.timed) + sum(subject.warmup)
        if made.probabilities is not None:
            model.answers[f"probabilities_{name}"] = made.probabilities

    def _record(self, model: _Model, session: Session) -> None:
        """The same figures for every seed; what was answered belongs to the first alone."""
        first = model.records[0]
        # Killed in between, the one whose weights are there is still to be measured.
        for record in reversed(model.records):
            evidence = Evidence(record, self.job.dataset.classes, self.folder)
            own = model.answers if record is first else {}
            digest = write_arrays(
                self.folder,
                record.trial.key,
                {**evidence.arrays, **model.timings, **own},
                replaces=record.arrays_sha256,
            )
            note = () if record is first else (SHARED.format(seed=first.trial.seed),)
            self.listener.record(
                replace(
                    record,
                    runtimes=tuple(model.results),
                    seconds=_with_measuring(record, model.seconds, spent=record is first),
                    notes=record.notes + note,
                    session=session,
                    arrays_sha256=digest,
                )
            )


def _groups(job: Job, run: Run) -> list[list[Record]]:
    """The records of the job's trials by backbone, the one whose weights are there first."""
    keys = {trial.key for trial in job.trials}
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in run.records:
        if record.trial.key in keys:
            place = (record.trial.backbone, record.trial.input_size)
            groups.setdefault(place, []).append(record)
    for records in groups.values():
        records.sort(key=lambda r: not weights_path(run.folder, r.trial.key).is_file())
    return list(groups.values())


def _with_measuring(record: Record, seconds: float, *, spent: bool) -> dict[str, float]:
    """The trial's seconds with those of its measuring; other seeds found that done."""
    changed: dict[str, Any] = dict(record.seconds)
    changed["measure"] = changed.get("measure", 0.0) + seconds
    changed["total"] = changed.get("total", 0.0) + seconds
    changed["reused"] = changed.get("reused", 0.0) + (0.0 if spent else seconds)
    return changed
