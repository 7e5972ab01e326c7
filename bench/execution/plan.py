"""What will be run, checked before anything is trained.

From names on the command line to trials: backbones chosen, sizes fixed, weights located, and what
cannot be run left out with its reason. Trains nothing and imports no framework.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.errors import TrialError, UsageError
from bench.execution.estimate import UNKNOWN, Cost, trial_cost
from bench.models.code_digest import code_digest
from bench.models.cuts import check_layers
from bench.models.weights import LocatedWeights
from bench.protocol import TrainingProtocol
from bench.registry import BACKBONES, names_in
from bench.storage.cache import content_key
from bench.storage.records import SCHEMA
from bench.storage.run_folder import Skipped
from bench.types import Backbone, Dataset, Measuring, Settings, Trial, at_size


@dataclass(frozen=True)
class PlannedBackbone:
    """All trials of one backbone at one input size: they differ in the seed and the share of
    training images."""

    backbone: str
    input_size: int
    weights: LocatedWeights | None  # None: random
    trials: tuple[Trial, ...]
    cost: Cost | None  # as it is estimated

    @property
    def name(self) -> str:
        """Return what the backbone is called in this run."""
        return self.trials[0].name

    def seconds(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Estimate what each of these trials takes if one process runs them: the first pays for
        what all of them share."""
        cost = self.cost or UNKNOWN
        found = {trial.key: cost.each * trial.fraction for trial in trials}
        for trial in trials[:1]:
            found[trial.key] += cost.shared
        return found


@dataclass(frozen=True)
class Plan:
    """Everything that a run will do."""

    name: str
    dataset: Dataset
    protocol: TrainingProtocol
    settings: Settings
    measuring: Measuring
    input_size: int | list[int] | None  # as asked for; None: each backbone's own
    planned: tuple[PlannedBackbone, ...]
    skipped: tuple[Skipped, ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(trial for planned in self.planned for trial in planned.trials)

    def refuse_empty(self) -> None:
        """Raise an error where there is nothing to do."""
        if not self.planned:
            raise UsageError("none of the backbones asked for can be run; see the reasons above.")


def choose_backbones(names: str) -> list[Backbone]:
    """Return the backbones that names divided by commas mean; an unknown one is an error.

    `all` are those declared for it, `zoo` is every one, and a name may be a pattern: `resnet*`.
    """
    if not len(BACKBONES):
        raise UsageError("no backbone is registered; install the package with `pip install -e .`.")
    if not (wanted := names_in(names)):
        raise UsageError("--backbones names nothing; give `all`, `zoo` or NAME,NAME.")
    chosen: list[Backbone] = []
    for name in wanted:
        chosen += [backbone for backbone in _named(name) if backbone not in chosen]
    return chosen


def _named(name: str) -> list[Backbone]:
    if name == "all":
        return [backbone for backbone in BACKBONES if backbone.in_all]
    if name == "zoo":
        return list(BACKBONES)
    found = [BACKBONES[match] for match in fnmatch.filter(BACKBONES.names, name)]
    return found or [BACKBONES[name]]  # which says what is near


def with_input_sizes(
    backbones: Sequence[Backbone], protocol: TrainingProtocol, asked: Sequence[int]
) -> list[tuple[Backbone, int]]:
    """Return each backbone with each of its input sizes: those that the user chose, else the
    protocol's, else its own."""
    return [
        (backbone, size)
        for backbone in backbones
        for size in asked or [protocol.input_size or backbone.input_size]
    ]


def make_plan(
    backbones: Sequence[Backbone],
    dataset: Dataset,
    protocol: TrainingProtocol,
    settings: Settings,
    seeds: Sequence[int],
    *,
    input_sizes: Sequence[int] = (),
    keras_backend: str,
    rate: float,
    located: Mapping[tuple[str, int], LocatedWeights | None],
    fractions: Sequence[float] = (1.0,),
    measuring: Measuring | None = None,
) -> Plan:
    """Lay out the trials; `located` says for each backbone and size which weights were found.

    The largest fraction comes first: the ranking is over it, and a run may be interrupted.
    """
    measuring = measuring or Measuring()
    sized = len(input_sizes) > 1
    # A single size is written as before there could be several, so that older runs continue.
    asked = list(input_sizes) if sized else next(iter(input_sizes), None)
    shared = {
        "schema": SCHEMA,
        "dataset": dataset.fingerprint,
        "protocol": protocol.digest,
        "settings": asdict(settings),
        "input_size": asked,
        "keras_backend": keras_backend,
    }
    planned: list[PlannedBackbone] = []
    skipped: list[Skipped] = []
    for backbone, size in with_input_sizes(backbones, protocol, input_sizes):
        try:
            check_trainable(backbone, size, protocol, len(dataset.classes))
        except TrialError as error:
            name = at_size(backbone.name, size) if sized else backbone.name
            skipped.append(Skipped(name, str(error)))
            continue
        code = code_digest(backbone)
        facts = shared | {"backbone": backbone.name, "size": size, "code": code}
        found = located[backbone.name, size]
        facts |= {"weights": found and [found.source, found.location, found.sha256]}
        trials = tuple(
            Trial(
                backbone=backbone.name,
                input_size=size,
                dataset=dataset.name,
                dataset_fingerprint=dataset.fingerprint,
                protocol=protocol.name,
                protocol_digest=protocol.digest,
                seed=seed,
                settings=settings,
                key=content_key(
                    facts | {"seed": seed} | ({} if fraction == 1 else {"fraction": fraction})
                )[:16],
                fraction=fraction,
                code=code,
                sized=sized,
            )
            for fraction in sorted(fractions, reverse=True)
            for seed in seeds
        )
        cost = trial_cost(
            backbone,
            size,
            protocol,
            dataset,
            rate,
            trainings=max(1, settings.tune),
            measuring=measuring if found is not None else None,
        )
        planned.append(PlannedBackbone(backbone.name, size, found, trials, cost))
    name = f"{dataset.name}-{protocol.name}-{content_key(shared)[:6]}"
    return Plan(name, dataset, protocol, settings, measuring, asked, tuple(planned), tuple(skipped))


def check_trainable(
    backbone: Backbone, size: int, protocol: TrainingProtocol, classes: int
) -> None:
    """Raise `TrialError` where the declaration alone shows that the backbone cannot be trained."""
    if size < backbone.minimum_size:
        raise TrialError(
            f"{backbone.name} takes images of {backbone.minimum_size} px or more, got {size} px."
        )
    if protocol.head.output == "sigmoid" and classes != 2:
        raise TrialError(
            f"protocol {protocol.name} has a sigmoid head, which needs exactly two classes; "
            f"the dataset has {classes}."
        )
    if backbone.layers is not None:
        for phase in protocol.phases:
            check_layers(backbone.name, phase.unfreeze, backbone.layers)
