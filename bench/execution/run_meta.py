"""A plan and its run's folder: the work that remains, and the run's description in `run.json`.

`run.json` is written before the run starts and compared with the settings of later commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.analysis.format import seeds
from bench.data.sources import SOURCES
from bench.errors import UsageError
from bench.execution.plan import Plan
from bench.execution.request import RecordedRequest, RunRequest, recorded_request
from bench.inference.measuring.pending import (
    model_to_explain,
    probes_needed,
    robustness_needed,
    runtimes_needed,
    soup_candidates,
    soup_needed,
)
from bench.inference.runtimes import choose_runtimes
from bench.models.weights import LocatedWeights
from bench.registry import BACKBONES
from bench.storage.arrays import find_arrays_fault, weights_path
from bench.storage.cache import Store
from bench.storage.records import SCHEMA, read_records, write_dataset
from bench.storage.run_folder import RunData, RunMeta, RunProtocol, read_meta
from bench.system.environment import describe_environment, utc_now
from bench.system.files import fields_of, to_json, write_atomic
from bench.training.job import ImagesFrom, Job
from bench.types import Record, Settings, Trial


@dataclass(frozen=True)
class RemainingWork:
    """The work that remains of a plan, according to the records in its run's folder."""

    plan: Plan
    folder: Path
    records: Mapping[str, Record]  # by trial key
    damaged: Mapping[str, str] = field(default_factory=dict)  # faults of array files, by trial key

    @classmethod
    def read(cls, plan: Plan, folder: Path) -> Self:
        """Read the records, and check the array files of the plan's finished trials."""
        records = {record.trial.key: record for record in read_records(folder)}
        planned, classes = {trial.key for trial in plan.trials}, len(plan.dataset.classes)
        damaged = {
            key: fault
            for key, record in records.items()
            if key in planned and record.status == "ok"
            if (fault := find_arrays_fault(folder, record, classes))
        }
        return cls(plan, folder, records, damaged)

    @property
    def untrained(self) -> tuple[Trial, ...]:
        """Return the trials without a record, with a failed one, or with lost or damaged arrays."""
        return tuple(trial for trial in self.plan.trials if self._finished_record(trial) is None)

    def unmeasured(self) -> list[Trial]:
        """Return the trained trials with a measurement missing that can still be made.

        Most measurements need stored weights. Trials on a smaller fraction of the training set are
        left out: their models are as fast as the others.
        """
        folder, measuring = self.folder, self.plan.measuring
        found: list[Trial] = []
        for records in self._records_by_backbone():
            needed = {r.trial.key for r in records if untimed_runtimes(self.plan, r)}
            if not any(weights_path(folder, key).is_file() for key in needed):
                needed = set()
            for record in records:
                key = record.trial.key
                if robustness_needed(record, measuring) and weights_path(folder, key).is_file():
                    needed.add(key)
                if probes_needed(record, measuring):  # computed from the pretrained weights
                    needed.add(key)
            averaged = soup_candidates(records, folder) if measuring.soups else []
            if soup_needed(averaged, records):
                needed.add(averaged[0].trial.key)
            explains = model_to_explain(records, folder) if measuring.heatmaps else None
            if explains is not None and "heatmaps" not in explains.seconds:
                needed.add(explains.trial.key)
            found += [record.trial for record in records if record.trial.key in needed]
        return found

    def describe_unmeasurable(self) -> list[str]:
        """Return one sentence for each backbone with requested measurements that need weights
        which are not stored any more."""
        measurable = {trial.key for trial in self.unmeasured()}
        found = []
        for records in self._records_by_backbone():
            missing = {
                record.trial.seed: names
                for record in records
                if record.trial.key not in measurable and (names := self._missing(record))
            }
            if missing:
                what = ", ".join(dict.fromkeys(name for each in missing.values() for name in each))
                found.append(
                    f"{records[0].trial.name} ({seeds(missing)}): {what} cannot be measured, since "
                    f"the trained weights were not kept; --fresh trains it again."
                )
        return found

    def _missing(self, record: Record) -> list[str]:
        """Return the measurements that a trial lacks, without runtimes that failed before."""
        failed = {result.name for result in record.runtimes if result.status == "failed"}
        found = [name for name in untimed_runtimes(self.plan, record) if name not in failed]
        return [*found, "robustness"] if robustness_needed(record, self.plan.measuring) else found

    def _finished_record(self, trial: Trial) -> Record | None:
        record = self.records.get(trial.key)
        intact = record is not None and record.status == "ok" and trial.key not in self.damaged
        return record if intact else None

    def _records_by_backbone(self) -> Iterator[list[Record]]:
        """Yield each backbone's finished records at the largest training fraction."""
        largest = largest_fraction(self.records)
        for planned in self.plan.planned:
            trials = [trial for trial in planned.trials if trial.fraction == largest]
            yield [record for trial in trials if (record := self._finished_record(trial))]


def untimed_runtimes(plan: Plan, record: Record) -> tuple[str, ...]:
    """Return the requested runtimes in which a trial's model has not been timed."""
    names = [runtime.name for runtime in choose_runtimes(plan.measuring.runtimes)]
    return runtimes_needed(record, names, plan.measuring.latency_seconds)


def largest_fraction(records: Mapping[str, Record]) -> float:
    """Return the largest training fraction: only trials on it are measured and ranked."""
    return max((record.trial.fraction for record in records.values()), default=1.0)


@dataclass(frozen=True)
class RunInputs:
    """The plan of a run with all that executing it needs."""

    plan: Plan
    folder: Path
    request: RunRequest
    store: Store
    notes: Sequence[str] = ()
    broken_plugins: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)  # to write, by path in the folder
    restore: Callable[[], None] = lambda: None  # decode images again that the cache has lost
    job_fields: Mapping[str, Any] = field(default_factory=dict)  # set in every job

    def job(
        self, trials: Sequence[Trial], weights: LocatedWeights | None = None, **more: Any
    ) -> Job:
        """Return a job for an executor; `more` are further fields of `Job`."""
        plan, request, store = self.plan, self.request, self.store
        return Job(
            trials=tuple(trials),
            protocol=plan.protocol,
            dataset=plan.dataset,
            weights=weights,
            folder=str(self.folder.resolve()),
            store=str(store.root.resolve()),
            store_limit_bytes=store.limit_bytes,
            plugins=tuple(str(path.resolve()) for path in request.plugins),
            packages=request.packages,
            command=request.command,
            split_seed=request.split_seed,
            keep_models=request.keep_models,
            keep_artefacts=request.keep_artefacts,
            measuring=plan.measuring,
            largest_fraction=max(trial.fraction for trial in plan.trials),
            images=_images(request),
            descriptions=BACKBONES.descriptions({trial.backbone for trial in trials}),
            **{**self.job_fields, **more},
        )


def _images(request: RunRequest) -> ImagesFrom:
    dataset, path = request.dataset, Path(request.dataset).expanduser()
    if dataset not in SOURCES and path.exists():
        dataset = str(path.resolve())
    groups = str(request.groups.resolve()) if request.groups else None
    return ImagesFrom(dataset, request.limit, groups)


def check_compatible(plan: Plan, folder: Path) -> None:
    """Raise `UsageError` if the folder's run has other images, protocol or settings."""
    earlier = read_meta(folder)
    # An option that did not exist when the run was made had its default.
    known = {**_options(Settings()), **earlier.identity} if earlier.identity else {}
    if known and "--input-size" not in known:  # version 0.1 stored it in the records only
        sizes = {r.trial.backbone: r.trial.input_size for r in read_records(folder)}
        others = (sizes.get(p.backbone, p.input_size) for p in plan.planned)
        unlike = (o for o, p in zip(others, plan.planned, strict=True) if o != p.input_size)
        known["--input-size"] = next(unlike, plan.input_size)
    for what, asked in _identity(plan).items():
        before = known.get(what, asked)
        if before != asked:
            raise UsageError(
                f"run {folder.name} was made with {what} {before!r}, now it is {asked!r}; "
                f"give another --run, or --fresh to start again."
            )


def _identity(plan: Plan) -> dict[str, Any]:
    return _options(plan.settings) | {
        "--input-size": plan.input_size,
        "dataset content": plan.dataset.fingerprint[:16],
        "protocol content": plan.protocol.digest,
        "KERAS_BACKEND": describe_environment()["keras_backend"],
    }


def _options(settings: Settings) -> dict[str, Any]:
    return {f"--{name.replace('_', '-')}": value for name, value in asdict(settings).items()}


def write_meta(inputs: RunInputs, remaining: RemainingWork) -> None:
    """Write `run.json`, the data set and `inputs.files`; keep what earlier commands recorded."""
    plan, folder, request = inputs.plan, inputs.folder, inputs.request
    earlier = read_meta(folder)
    before = recorded_request(earlier) or RecordedRequest()
    kept = earlier.kept_weights
    if before.keep_models != "none":
        kept = tuple(path.stem for path in weights_path(folder, "*").parent.glob("*.npz"))
    current = {p.name for p in plan.planned} | {s.backbone for s in plan.skipped}
    skipped = (s for s in earlier.skipped if s.backbone not in current)
    dataset, protocol, data = plan.dataset, plan.protocol, request.data()
    meta = RunMeta(
        schema=SCHEMA,
        name=folder.name,
        created=earlier.created or utc_now(),
        command=tuple(request.command),
        request=data | {"plugins": list(dict.fromkeys([*before.plugins, *data["plugins"]]))},
        identity=_identity(plan),
        asked=tuple(trial.key for trial in plan.trials),
        dataset=RunData(
            name=dataset.name,
            description=dataset.description,
            fingerprint=dataset.fingerprint,
            classes=dataset.classes,
            counts={name: len(split) for name, split in dataset.splits.items()},
            excluded=len(dataset.excluded),
            notes=dataset.notes,
        ),
        protocol=RunProtocol(digest=protocol.digest, **fields_of(protocol)),
        settings=plan.settings,
        measuring=plan.measuring,
        skipped=(*skipped, *plan.skipped),
        broken_plugins=tuple(inputs.broken_plugins),
        notes=(*inputs.notes, *remaining.describe_unmeasurable()),
        price_per_hour=request.price_per_hour,
        kept_weights=kept,
        margin=request.margin or earlier.margin,
        environment=describe_environment(),
    )
    for path, content in inputs.files.items():
        write_atomic(folder / path, content)
    write_dataset(folder, dataset)
    write_atomic(folder / "run.json", to_json(meta, indent=2))
