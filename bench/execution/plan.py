"""Plan a run: from names on the command line to trials, checked before anything is trained.

Backbones that cannot be trained are left out with the reason. Imports no framework.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.errors import TrialError, UsageError
from bench.execution.estimate import UNKNOWN_COST, Cost, estimate_trial_cost
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
    """All trials of one backbone at one input size, which differ in seed and training fraction."""

    backbone: str
    input_size: int
    weights: LocatedWeights | None  # None: random initialization
    trials: tuple[Trial, ...]
    cost: Cost | None  # None: the backbone declares no arithmetic

    @property
    def name(self) -> str:
        """Return the backbone's name in this run, with the input size if there are several."""
        return self.trials[0].name

    def seconds(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Estimate the seconds of each trial, by key, if one process runs them in this order.

        The first trial includes the cost that all of them share.
        """
        cost = self.cost or UNKNOWN_COST
        found = {trial.key: cost.per_trial * trial.fraction for trial in trials}
        for trial in trials[:1]:
            found[trial.key] += cost.shared
        return found


@dataclass(frozen=True)
class Plan:
    """All trials of a run, and what is measured on the trained models."""

    name: str
    dataset: Dataset
    protocol: TrainingProtocol
    settings: Settings
    measuring: Measuring
    input_size: int | list[int] | None  # as requested; None: each backbone's own
    planned: tuple[PlannedBackbone, ...]
    skipped: tuple[Skipped, ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(trial for planned in self.planned for trial in planned.trials)

    def refuse_empty(self) -> None:
        """Raise `UsageError` if no backbone can be run."""
        if not self.planned:
            raise UsageError("none of the requested backbones can be run; see the reasons above.")


def choose_backbones(names: str) -> list[Backbone]:
    """Return the backbones for comma-separated names; an unknown name is an error.

    `all` selects the backbones declared with `in_all`, `zoo` selects every backbone, and a name may
    be a pattern such as `resnet*`.
    """
    if not len(BACKBONES):
        raise UsageError(
            "no backbone is registered; install the package with `pip install -e .`, or without "
            "TensorFlow with `pip install --no-deps -e .`."
        )
    if not (wanted := names_in(names)):
        raise UsageError("--backbones names nothing; give `all`, `zoo` or NAME,NAME.")
    chosen: list[Backbone] = []
    for name in wanted:
        chosen += [backbone for backbone in _match(name) if backbone not in chosen]
    return chosen


def _match(name: str) -> list[Backbone]:
    if name == "all":
        return [backbone for backbone in BACKBONES if backbone.in_all]
    if name == "zoo":
        return list(BACKBONES)
    found = [BACKBONES[match] for match in fnmatch.filter(BACKBONES.names, name)]
    return found or [BACKBONES[name]]  # its error suggests similar names


def with_input_sizes(
    backbones: Sequence[Backbone], protocol: TrainingProtocol, sizes: Sequence[int]
) -> list[tuple[Backbone, int]]:
    """Pair each backbone with its input sizes.

    `sizes` are the user's; without any, it is the protocol's size or else the backbone's own.
    """
    return [
        (backbone, size)
        for backbone in backbones
        for size in sizes or [protocol.input_size or backbone.input_size]
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
    matrix_rate: float,
    located: Mapping[tuple[str, int], LocatedWeights | None],
    fractions: Sequence[float] = (1.0,),
    measuring: Measuring | None = None,
) -> Plan:
    """Plan the trials of these backbones.

    `located` has the weights found for each backbone and input size; `matrix_rate` is this
    machine's speed in operations per second, for the estimates. The largest fraction comes first:
    the ranking uses it, and a run may be interrupted.
    """
    measuring = measuring or Measuring()
    sized = len(input_sizes) > 1
    # A single size keeps its old form, so that runs of older versions can be continued.
    requested_size = list(input_sizes) if sized else next(iter(input_sizes), None)
    shared = {
        "schema": SCHEMA,
        "dataset": dataset.fingerprint,
        "protocol": protocol.digest,
        "settings": asdict(settings),
        "input_size": requested_size,
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
        cost = estimate_trial_cost(
            backbone,
            size,
            protocol,
            dataset,
            matrix_rate,
            trainings=max(1, settings.tune),
            measuring=measuring if found is not None else None,
        )
        planned.append(PlannedBackbone(backbone.name, size, found, trials, cost))
    name = f"{dataset.name}-{protocol.name}-{content_key(shared)[:6]}"
    return Plan(
        name,
        dataset,
        protocol,
        settings,
        measuring,
        requested_size,
        tuple(planned),
        tuple(skipped),
    )


def check_trainable(
    backbone: Backbone, size: int, protocol: TrainingProtocol, classes: int
) -> None:
    """Raise `TrialError` if the declaration alone shows that the backbone cannot be trained."""
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
