"""The record of a trial: its results and all that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.types.trial import Trial


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses, accuracies and duration of one epoch of training."""

    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Validation:
    """Loss and accuracy on the validation images."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """The result of one phase of the protocol."""

    name: str
    cut: str  # the tensor from which training starts: "pixels", a layer's name or "features"
    views: str  # how augmentation used the cache: "one view, cached", "2 views, cached, ...", ...
    trainable_parameters: int
    best_epoch: int  # the epoch whose weights were kept, from 1; 0: the initial weights
    stopped_early: bool
    epochs: tuple[Epoch, ...]
    compile_seconds: float
    train_seconds: float
    start: Validation | None = None  # with the initial weights, if early stopping may keep them
    at_limit: bool = False  # the best epoch was the last allowed: more epochs may be better

    @property
    def kept_epoch(self) -> Epoch | None:
        """Return the epoch whose weights were kept; None if the initial ones were."""
        return self.epochs[self.best_epoch - 1] if self.epochs and self.best_epoch else None

    @property
    def kept(self) -> Validation | None:
        """Return the validation figures of the kept weights."""
        epoch = self.kept_epoch
        return self.start if epoch is None else Validation(epoch.val_loss, epoch.val_accuracy)


@dataclass(frozen=True)
class TriedRate:
    """The result of one learning rate that a trial tried; the lowest validation loss wins.

    Its predictions are in the arrays. Loss and accuracy are None if training diverged.
    """

    multiplier: float  # of the learning rates of all phases of the protocol
    chosen: bool
    val_loss: float | None
    val_accuracy: float | None
    phases: tuple[PhaseResult, ...]  # finished phases
    seconds: float


RANDOM_INIT = "random init"
"""The source of weights that are not pretrained."""


@dataclass(frozen=True, slots=True)
class WeightsUsed:
    """The origin of the weights of one trial."""

    source: str  # "imagenet", "preset", "file" or `RANDOM_INIT`
    location: str  # file name or package, never an absolute path
    sha256: str

    @property
    def pretrained(self) -> bool:
        return self.source != RANDOM_INIT


REFERENCE = "keras"
"""The runtime that is always timed: the Keras model, compiled by its backend."""

STANDS_IN = "stands for all its seeds"
"""Part of a trial's note that its times were measured on another seed's model."""


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """The result of one runtime.

    Raw durations are in the arrays, and `probabilities_<name>` if it predicted all test images.
    """

    name: str
    batches: tuple[int, ...] = ()  # batch sizes timed: arrays `latency_<name>_b<batch>`, seconds
    compile_seconds: float = 0.0  # loading and the first prediction
    status: Literal["ok", "failed"] = "ok"
    reason: str = ""
    artefact: str = ""  # file name of the converted model; "" if the Keras model itself runs
    artefact_bytes: int = 0
    convert_seconds: float = 0.0
    memory_bytes: int | None = None  # growth of a separate process that loads and predicts
    device_memory_bytes: int | None = None  # peak on the GPU, in that process
    joules: Mapping[str, float] = field(default_factory=dict)  # by batch size, all timed queries
    session: Session | None = None  # of the timing; older records have the record's session only
    failed_batches: Mapping[str, str] = field(default_factory=dict)  # reasons by batch size


@dataclass(frozen=True, slots=True)
class Session:
    """The timing of one runtime in one measuring process, alternating between the backbones."""

    started: str  # start of the process; shared by all runtimes that it timed
    backbones: tuple[str, ...]
    threads: int
    rounds: int
    matrix_rate: float  # floating-point operations per second of a matrix product, at best
    calibration: tuple[float, ...]  # seconds of a fixed computation, before, between and after
    latency_seconds: float = 0.0  # requested time per model; 0 in records of version 0.1
    node: str = ""  # the cluster's machine; "": the machine of the command


@dataclass(frozen=True)
class Probes:
    """The probes fitted to a backbone's frozen features; their predictions are in the arrays."""

    features: int  # per image
    neighbours: int  # k of the k-nearest-neighbour classifier
    strength: float  # L2 penalty of the logistic regression, chosen on the validation images


@dataclass(frozen=True)
class Ingredient:
    """A seed whose weights were tried in a soup."""

    seed: int
    finished: str  # from the seed's record: a seed that is trained again is another model
    val_accuracy: float  # of the mean of its weights and those taken before
    taken: bool


@dataclass(frozen=True)
class Soup:
    """A greedy mean of the weights of a backbone's seeds; its predictions are in the arrays."""

    tried: tuple[Ingredient, ...]  # the most accurate seed on the validation images first

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds whose weights are averaged; a single one if no other improved it."""
        return tuple(one.seed for one in self.tried if one.taken)


@dataclass(frozen=True, slots=True)
class Record:
    """Everything measured in one trial, or why it failed. Immutable, versioned, one JSON line.

    Raw arrays (labels, probabilities, durations) are in `arrays/<key>.npz`; metrics are computed
    from them. `seconds` splits the trial's time: `imports`, `data` (decoding), `build`, `features`
    (forward passes of the frozen part), `compile`, `train`, `tuning` (learning rates that were
    tried and not chosen), `measure`, `robustness`, `probes`, `heatmaps`, `neighbours`, `umap`
    (which explain mistakes) and `soup`. `total` is their sum, the time of the trial with cold
    caches; `reused` is the part of it that the cache saved.
    """

    schema: int
    trial: Trial
    status: Literal["ok", "failed"]
    reason: str = ""
    started: str = ""
    finished: str = ""
    weights: WeightsUsed | None = None
    parameters: int = 0
    size_bytes: int = 0
    phases: tuple[PhaseResult, ...] = ()
    runtimes: tuple[RuntimeResult, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    train_images: int = 0  # size of the training set; 0 in older records
    tuning: tuple[TriedRate, ...] = ()  # all learning rates tried, the lowest first
    command: tuple[str, ...] = ()  # the command that requested this trial
    split_seed: int | None = None
    flops: int = 0  # floating-point operations for one image; 0 in older records
    memory_bytes: int = 0  # peak of the training process, which a backbone's seeds share
    device_memory_bytes: int | None = None  # peak on the GPU during training
    joules: float | None = None  # of the GPU during the trial; None without an energy counter
    session: Session | None = None  # the timing of the first runtime
    accumulation: int = 1  # number of parts into which each batch was split to fit into memory
    arrays_sha256: str = ""  # of the arrays file; "" in records of version 0.1
    probes: Probes | None = None
    soup: Soup | None = None  # the soup of the backbone's seeds, held by one of them

    @property
    def pretrained(self) -> bool:
        """Return whether training began with pretrained weights; if not, accuracies are void."""
        return self.weights is not None and self.weights.pretrained

    @property
    def stood_for(self) -> bool:
        """Return whether the trial's times were measured on another seed's model."""
        return any(STANDS_IN in note for note in self.notes)
