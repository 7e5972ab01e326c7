"""What a run is, in its `run.json`: written before it starts, and compared with later commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.execution.plan import Plan
from bench.execution.remaining import undone
from bench.execution.request import RunRequest, merged_plugins
from bench.models.weights import LocatedWeights
from bench.storage.cache import Store
from bench.storage.records import SCHEMA, read_records, write_dataset
from bench.storage.run_folder import RunData, RunMeta, RunProtocol, read_meta
from bench.system.environment import environment, utc_now
from bench.system.files import fields_of, to_json, write_atomic
from bench.training.job import Job
from bench.types import Settings, Trial


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
            **more,
        )


def check_same(plan: Plan, folder: Path) -> None:
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
        "KERAS_BACKEND": environment()["keras_backend"],
    }


def _options(settings: Settings) -> dict[str, Any]:
    return {f"--{name.replace('_', '-')}": value for name, value in asdict(settings).items()}


def describe(inputs: RunInputs) -> None:
    """Write what the run is, before it starts; what earlier commands added to it stays."""
    plan, folder, request = inputs.plan, inputs.folder, inputs.request
    earlier = read_meta(folder)
    chosen = {p.backbone for p in plan.planned} | {s.backbone for s in plan.skipped}
    skipped = (s for s in earlier.skipped if s.backbone not in chosen)
    dataset, protocol = plan.dataset, plan.protocol
    meta = RunMeta(
        schema=SCHEMA,
        name=folder.name,
        created=earlier.created or utc_now(),
        command=tuple(request.command),
        request=request.data() | {"plugins": merged_plugins(earlier, request.plugins)},
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
        notes=(*inputs.notes, *undone(plan, folder)),
        price_per_hour=request.price_per_hour,
        margin=request.margin or earlier.margin,
        environment=environment(),
    )
    for path, content in inputs.files.items():
        write_atomic(folder / path, content)
    write_dataset(folder, dataset)
    write_atomic(folder / "run.json", to_json(meta, indent=2))
