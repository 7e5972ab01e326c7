"""The request for a run or a screening: a user's choices, whatever interface they come from.

It is plain data, stored in `run.json`, so that `verify` can find the images and plugins again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from msgspec import ValidationError, convert, to_builtins

from bench.errors import UnknownNameError, UsageError
from bench.storage.run_folder import RunMeta
from bench.system.command_line import RESULTS
from bench.training.tuning import MAX_BUDGET
from bench.types import Device, KeepModels, Measuring, OnLeak, Precision, Settings, WeightsChoice

LARGEST_SEED = 2**32 - 1
KINDS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    Path: "a path",
    tuple[int, ...]: "a list of whole numbers",
    tuple[float, ...]: "a list of numbers",
    tuple[str, ...]: "a list of texts",
    tuple[Path, ...]: "a list of paths",
}
ABOVE_ZERO = (
    *("batch_size", "limit", "latency_seconds"),
    *("trial_timeout", "cache_gb", "price_per_hour"),
)
BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)?")
SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class RunRequest:
    """The choices for one run, with their defaults; named like the command line's options, except
    where noted."""

    backbones: str = "all"  # or `zoo`, or NAME,NAME with patterns
    dataset: str = "auto"  # auto, demo, a folder, a .zip file, tfds:NAME
    protocol: str = "default"  # a name, or a TOML file
    weights: WeightsChoice = "auto"
    input_size: tuple[int, ...] = ()  # one or several, for all; none: each backbone's own
    batch_size: int | None = None  # None: the protocol's
    seeds: tuple[int, ...] = (0,)
    fractions: tuple[float, ...] = (1.0,)  # of the training set
    tune: int = 0  # learning rates to try; 0: the protocol's alone
    # Images, splits, and the treatment of duplicates.
    limit: int | None = None
    split_seed: int = 0
    groups: Path | None = None
    audit: bool = True
    on_leak: OnLeak = "warn"
    # How to compute.
    device: Device = "auto"
    precision: Precision = "float32"
    threads: int = 0
    deterministic: bool = False
    cache_features: bool = True  # --no-cache: run the frozen part in every epoch
    retry: bool = True  # with gradient accumulation, after an out-of-memory error
    trial_timeout: float | None = None  # seconds
    on: str = "local"  # the executor that runs trials, as `ray` or `ray:ADDRESS`
    per_trial: str = ""  # resources of each job on a cluster: cpus=4,gpus=0.5
    ship_data: bool = False  # send decoded images to the nodes of a cluster
    site: Path | None = None  # a TOML file with the options for submitting jobs to Slurm
    detach: bool = False  # return once all jobs are submitted
    measure_on: str = ""  # the cluster node that times the models; "": this machine
    # What to measure and what to keep.
    latency_seconds: float = 2.0
    runtimes: str = "keras"
    robustness: bool = False
    probes: bool = False
    heatmaps: bool = True
    keep_models: KeepModels = "best"
    keep_artefacts: bool = False
    # Where.
    run: str | None = None  # the run's name; None: derived from the request
    fresh: bool = False
    results: Path = RESULTS
    cache: Path | None = None  # the folder; None: the user's cache folder
    cache_gb: float = 50.0
    plugins: tuple[Path, ...] = ()
    packages: tuple[str, ...] = ()  # not installed, with backbones to register
    # For the reports.
    price_per_hour: float | None = None
    margin: float | None = None  # percentage points; None: as in the run's last command
    latex: bool = False
    command: tuple[str, ...] = ()  # as typed; empty if called from a program

    @classmethod
    def of(cls, choices: Mapping[str, Any]) -> Self:
        """Build and validate a request from the field values that people write.

        Lists may stand for tuples, text for paths, and an integer for `seeds` from 0 on.
        """
        kinds = get_type_hints(cls)
        if unknown := [name for name in choices if name not in kinds]:
            raise UnknownNameError("choice of a run", unknown[0], kinds)
        given = {name: _convert(name, value, kinds[name]) for name, value in choices.items()}
        request = cls(**given)
        request._validate()
        return request

    def _validate(self) -> None:
        """Raise `UsageError`, which names the field, if a value is out of range."""
        for name in ("seeds", "fractions", "input_size"):
            found = getattr(self, name)
            if len(set(found)) < len(found) or not (found or name == "input_size"):
                raise UsageError(f"{name} must be different numbers; got {list(found)}.")
        if not all(0 <= seed <= LARGEST_SEED for seed in (*self.seeds, self.split_seed)):
            raise UsageError(
                f"seeds must be from 0 to {LARGEST_SEED}; got seeds={list(self.seeds)}, "
                f"split_seed={self.split_seed}."
            )
        if not all(size > 0 for size in self.input_size):
            raise UsageError(f"input_size must be above 0; got {list(self.input_size)}.")
        if not all(0 < part <= 1 for part in self.fractions):
            raise UsageError(f"fractions must be above 0, up to 1; got {list(self.fractions)}.")
        if self.tune not in (0, *range(2, MAX_BUDGET + 1)):
            raise UsageError(f"tune must be from 2 to {MAX_BUDGET}; got {self.tune}.")
        if self.measure_on and self.keep_artefacts:
            raise UsageError(
                f"keep_artefacts keeps the models converted on this machine, but they are measured "
                f"on {self.measure_on}; leave out keep_artefacts or measure_on."
            )
        if self.threads < 0:
            raise UsageError(f"threads must be 1 or more, or 0 for all cores; got {self.threads}.")
        if self.margin is not None and not 0 < self.margin < 100:
            raise UsageError(f"margin must be above 0 and below 100; got {self.margin}.")
        for name in ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} must be above 0; got {value}.")

    def data(self) -> dict[str, Any]:
        """Return the request as plain data, for `run.json`."""
        return to_builtins(self, enc_hook=str)  # type: ignore[no-any-return]

    def settings(self, batch_size: int) -> Settings:
        """Return the settings that define a trial; `batch_size` is the protocol's."""
        return Settings(
            weights=self.weights,
            batch_size=self.batch_size or batch_size,
            device=self.device,
            cache=self.cache_features,
            tune=self.tune,
            deterministic=self.deterministic,
            precision=self.precision,
            threads=self.threads,
        )

    @property
    def measuring(self) -> Measuring:
        """Return what to measure on trained models."""
        return Measuring(
            self.latency_seconds,
            self.runtimes,
            self.robustness,
            self.probes,
            self.heatmaps,
            soups=self.keep_models == "all",  # otherwise the seeds kept depend on interruptions
        )


@dataclass(frozen=True)
class ScreenRequest(RunRequest):
    """The choices for a screening: those of its final run, and its budget."""

    budget: str = ""  # a time, as 30m or 2h, or a number of finalists; "": no limit
    sample: int = 1000  # training images to probe

    @classmethod
    def of(cls, choices: Mapping[str, Any]) -> Self:
        """Build and validate a request; `budget` may be an integer number of finalists."""
        budget = choices.get("budget", "")
        return super().of({**choices, "budget": str(budget) if type(budget) is int else budget})

    def _validate(self) -> None:
        super()._validate()
        found = BUDGET.fullmatch(self.budget)
        few = self.finalists is not None and self.finalists < 2
        if self.budget and (found is None or few or (not found[2] and "." in found[1])):
            raise UsageError(
                f"budget must be a time, as 30m or 2h, or a number of finalists, 2 or more; got "
                f"{self.budget!r}."
            )
        if self.sample < 2:
            raise UsageError(f"sample must be 2 or more; got {self.sample}.")

    @property
    def seconds(self) -> float:
        """Return the seconds that all rounds may take together; infinity if not limited."""
        found = BUDGET.fullmatch(self.budget)
        return float(found[1]) * SECONDS[found[2]] if found and found[2] else float("inf")

    @property
    def finalists(self) -> int | None:
        """Return the greatest number of finalists; None if the budget is not a number."""
        return int(self.budget) if self.budget.isdigit() else None


def _convert(name: str, value: Any, kind: Any) -> Any:
    """Convert a value to the type of its `RunRequest` field; `UsageError` if it has another."""
    optional = type(None) in get_args(kind)
    if optional and value is None:
        return None
    kind = get_args(kind)[0] if optional else kind
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    wanted = f"one of {', '.join(choices)}" if choices else KINDS[kind]
    if name == "seeds":
        wanted = f"how many, 1 or more, or {wanted}"
    if name == "input_size":
        wanted = "one or more whole numbers"
    try:
        return convert(_normalise(name, value, kind), kind, dec_hook=lambda path, text: path(text))
    except (ValidationError, TypeError):
        raise UsageError(f"{name} must be {wanted}; got {value!r}.") from None


def _normalise(name: str, value: Any, kind: Any) -> Any:
    """Return a value in the form that `convert` takes, from those that people write."""
    if name == "seeds" and type(value) is int and value > 0:  # `type`: True is not a number here
        return tuple(range(value))
    if name == "input_size":
        return () if value is None else (value,) if type(value) is int else tuple(sorted(value))
    if name == "backbones" and not isinstance(value, str):
        return ",".join(value)
    if kind is str and isinstance(value, Path):
        return str(value)
    if kind in (tuple[Path, ...], tuple[str, ...]) and isinstance(value, str | Path):
        return (value,)
    return tuple(value) if get_args(kind) and not isinstance(value, str) else value


@dataclass(frozen=True)
class RecordedRequest:
    """The fields of a request that are read again from `run.json`."""

    dataset: str = "auto"
    split_seed: int = 0
    limit: int | None = None
    groups: str | None = None
    plugins: tuple[str, ...] = ()
    keep_models: str = ""


def recorded_request(meta: RunMeta) -> RecordedRequest | None:
    """Return the request of a run's last command; None if `run.json` has none (version 0.1)."""
    try:
        return convert(meta.request, RecordedRequest)
    except ValidationError:
        return None
