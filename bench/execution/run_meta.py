"""A plan and its run's folder: what remains to be done of it, and what the run is (`run.json`),
which is written before it starts and compared with later commands."""

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
    """What remains to be done of a plan, by the records of its run's folder."""

    plan: Plan
    folder: Path
    records: Mapping[str, Record]  # by the keys of their trials
    damaged: Mapping[str, str] = field(default_factory=dict)  # what is wrong with their arrays

    @classmethod
    def read(cls, plan: Plan, folder: Path) -> Self:
        """Read the records, and the arrays of the plan's finished trials, all of them."""
        records = {record.trial.key: record for record in read_records(folder)}
        asked, classes = {trial.key for trial in plan.trials}, len(plan.dataset.classes)
        damaged = {
            key: fault
            for key, record in records.items()
            if key in asked and record.status == "ok"
            if (fault := find_arrays_fault(folder, record, classes))
        }
        return cls(plan, folder, records, damaged)

    @property
    def untrained(self) -> tuple[Trial, ...]:
        """Return the trials to train: those without a record, those that failed, and those whose
        arrays are gone or damaged."""
        return tuple(trial for trial in self.plan.trials if self._finished(trial) is None)

    def unmeasured(self) -> list[Trial]:
        """Return the trained trials of which something is still to be measured, where a model can
        be made again.

        Trials on a smaller share of the images, for a learning curve, are as fast as the others.
        """
        folder, asked = self.folder, self.plan.measuring
        found: list[Trial] = []
        for of_backbone in self._largest_of_each():
            needed = {r.trial.key for r in of_backbone if untimed_runtimes(self.plan, r)}
            if not any(weights_path(folder, key).is_file() for key in needed):
                needed = set()
            for record in of_backbone:
                key = record.trial.key
                if robustness_needed(record, asked) and weights_path(folder, key).is_file():
                    needed.add(key)
                if probes_needed(record, asked):  # from the pretrained weights
                    needed.add(key)
            averaged = soup_candidates(of_backbone, folder) if asked.soups else []
            if soup_needed(averaged, of_backbone):
                needed.add(averaged[0].trial.key)
            explains = model_to_explain(of_backbone, folder) if asked.heatmaps else None
            if explains is not None and "heatmaps" not in explains.seconds:
                needed.add(explains.trial.key)
            found += [r.trial for r in of_backbone if r.trial.key in needed]
        return found

    def describe_unmeasurable(self) -> list[str]:
        """Return what was asked to be measured of finished trials and cannot be, as their weights
        are gone: a text a backbone."""
        can = {trial.key for trial in self.unmeasured()}
        found = []
        for of_backbone in self._largest_of_each():
            lacking = {
                record.trial.seed: names
                for record in of_backbone
                if record.trial.key not in can and (names := self._lacking(record))
            }
            if lacking:
                what = ", ".join(dict.fromkeys(name for each in lacking.values() for name in each))
                found.append(
                    f"{of_backbone[0].trial.name} ({seeds(lacking)}): {what} cannot be measured as "
                    f"asked, for its trained weights were not kept; --fresh trains it again."
                )
        return found

    def _lacking(self, record: Record) -> list[str]:
        """Return what is still to be measured of a trial, without runtimes that failed before."""
        tried = {result.name for result in record.runtimes if result.status == "failed"}
        found = [name for name in untimed_runtimes(self.plan, record) if name not in tried]
        return [*found, "robustness"] if robustness_needed(record, self.plan.measuring) else found

    def _finished(self, trial: Trial) -> Record | None:
        record = self.records.get(trial.key)
        whole = record is not None and record.status == "ok" and trial.key not in self.damaged
        return record if whole else None

    def _largest_of_each(self) -> Iterator[list[Record]]:
        """Yield, for each backbone of the plan, its trials that finished on the largest share."""
        largest = largest_fraction(self.records)
        for planned in self.plan.planned:
            trials = [trial for trial in planned.trials if trial.fraction == largest]
            yield [record for trial in trials if (record := self._finished(trial))]


def untimed_runtimes(plan: Plan, record: Record) -> tuple[str, ...]:
    """Return the runtimes that are still to be timed of a trial."""
    names = [runtime.name for runtime in choose_runtimes(plan.measuring.runtimes)]
    return runtimes_needed(record, names, plan.measuring.latency_seconds)


def largest_fraction(records: Mapping[str, Record]) -> float:
    """Return the largest share of the training images, which alone is measured and ranked."""
    return max((record.trial.fraction for record in records.values()), default=1.0)


@dataclass(frozen=True)
class RunInputs:
    """All that a run needs to be carried out: the plan, where it goes, and what was asked for."""

    plan: Plan
    folder: Path
    request: RunRequest
    store: Store
    notes: Sequence[str] = ()
    broken_plugins: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)  # more to keep, by path in the folder
    restore: Callable[[], None] = lambda: None  # decodes images again that were deleted meanwhile
    job_fields: Mapping[str, Any] = field(default_factory=dict)  # fields of every job

    def job(
        self, trials: Sequence[Trial], weights: LocatedWeights | None = None, **more: Any
    ) -> Job:
        """Return a job for an executor; `more` are fields of it."""
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
    """Raise `UsageError` where the folder holds a run with other images, protocol or settings."""
    earlier = read_meta(folder)
    # A run from before an option existed was made with its default.
    known = {**_options(Settings()), **earlier.identity} if earlier.identity else {}
    if known and "--input-size" not in known:  # as in version 0.1: its records say it
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
    """Write what the run is, before it starts; what earlier commands added to it stays."""
    plan, folder, request = inputs.plan, inputs.folder, inputs.request
    earlier = read_meta(folder)
    before = recorded_request(earlier) or RecordedRequest()
    kept = earlier.kept_weights
    if before.keep_models != "none":
        kept = tuple(path.stem for path in weights_path(folder, "*").parent.glob("*.npz"))
    chosen = {p.name for p in plan.planned} | {s.backbone for s in plan.skipped}
    skipped = (s for s in earlier.skipped if s.backbone not in chosen)
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
