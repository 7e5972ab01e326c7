"""The result of a trial, with all that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.types.trial import Trial


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one epoch."""

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
    cut: str  # the tensor that training started from: "pixels", a layer's name or "features"
    views: str  # how augmentation used the cache: "one view, cached", "2 views, cached, ...", ...
    trainable_parameters: int
    best_epoch: int  # its weights were kept; counted from 1; 0: the phase's initial weights
    stopped_early: bool
    epochs: tuple[Epoch, ...]
    compile_seconds: float
    train_seconds: float
    start: Validation | None = None  # before the first epoch, if early stopping may keep that
    at_limit: bool = False  # the best epoch was the last allowed: more may be better

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
    """The result of one learning rate of a trial's budget; its answers are in the arrays.

    The figures are on the validation images; the lowest loss decides. `None` if training diverged.
    """

    multiplier: float  # of the learning rate of every phase of the protocol
    chosen: bool
    val_loss: float | None
    val_accuracy: float | None
    phases: tuple[PhaseResult, ...]  # those that were finished
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
"""The runtime that is always timed: the Keras model as its backend compiles it."""

STANDS_IN = "stands for all its seeds"
"""In the notes of a trial for which another seed's model was timed."""


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """The result of one runtime; raw durations are in the arrays, and so are `probabilities_<name>`
    of every test image if it answered all of them."""

    name: str
    batches: tuple[int, ...] = ()  # batch sizes timed: arrays `latency_<name>_b<batch>`, seconds
    compile_seconds: float = 0.0  # loading, and the first prediction
    status: Literal["ok", "failed"] = "ok"
    reason: str = ""
    artefact: str = ""  # the converted model's file name; "" if the Keras model itself runs
    artefact_bytes: int = 0
    convert_seconds: float = 0.0
    memory_bytes: int | None = None  # growth of a separate process, loading and predicting
    device_memory_bytes: int | None = None  # peak on the GPU, in that process
    joules: Mapping[str, float] = field(default_factory=dict)  # by batch size, all timed queries
    session: Session | None = None  # that timed it; older records have only the record's session
    failed_batches: Mapping[str, str] = field(default_factory=dict)  # why, by batch size


@dataclass(frozen=True, slots=True)
class Session:
    """The timing of one runtime in one measuring process: its backbones were timed in turns."""

    started: str  # the process: shared by the runtimes that it timed
    backbones: tuple[str, ...]
    threads: int
    rounds: int
    matrix_rate: float  # floating-point operations a second of a matrix product, at best
    calibration: tuple[float, ...]  # seconds of one fixed piece of work, before, between and after
    latency_seconds: float = 0.0  # as requested; 0 in records of version 0.1
    node: str = ""  # of a cluster; "": the machine of the command


@dataclass(frozen=True)
class Probes:
    """What was fitted to a backbone's frozen features; the answers are in the arrays."""

    features: int  # of an image
    neighbours: int  # that vote
    strength: float  # of the regression's penalty, chosen on the validation images


@dataclass(frozen=True)
class Ingredient:
    """A seed whose weights were tried in a soup."""

    seed: int
    finished: str  # as its record says: a seed that is trained again is another model
    val_accuracy: float  # of the mean of its weights and of those taken before
    taken: bool


@dataclass(frozen=True)
class Soup:
    """A greedy average of the weights of a backbone's seeds; its answers are in the arrays."""

    tried: tuple[Ingredient, ...]  # the most accurate seed on the validation images first

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds whose weights are averaged; one alone where no other was taken."""
        return tuple(one.seed for one in self.tried if one.taken)


@dataclass(frozen=True, slots=True)
class Record:
    """Everything measured in one trial, or why it failed. Immutable, versioned, one JSON line.

    Raw arrays (labels, probabilities, durations) are in `arrays/<key>.npz`; metrics derive the rest
    from them. `seconds` splits the trial: `imports`, `data` (decoding), `build`, `features` (the
    frozen part), `compile`, `train`, `tuning` (rates that were tried and not chosen), `measure`,
    `robustness`, `probes`, `heatmaps`, `neighbours`, `umap` (which explain mistakes), `soup`;
    `total` is their sum, the time of the trial from cold caches, and `reused` is the part of it
    that was cached.
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
    train_images: int = 0  # how many the trial trained on; 0 where they were not counted
    tuning: tuple[TriedRate, ...] = ()  # every rate tried, the lowest first
    command: tuple[str, ...] = ()  # that requested this trial
    split_seed: int | None = None
    flops: int = 0  # floating-point operations for one image; 0 in records that did not count them
    memory_bytes: int = 0  # peak of the training process; seeds share one
    device_memory_bytes: int | None = None  # peak on the GPU during training
    joules: float | None = None  # of the GPU while the trial ran; None where nothing counts them
    session: Session | None = None  # that timed the first runtime
    accumulation: int = 1  # parts that each batch was split into, to fit into memory
    arrays_sha256: str = ""  # of the file with the arrays; "" in records of version 0.1
    probes: Probes | None = None
    soup: Soup | None = None  # of the seeds of its backbone, which one of them holds

    @property
    def pretrained(self) -> bool:
        """Return whether its weights were; only then do its answers mean anything."""
        return self.weights is not None and self.weights.pretrained

    @property
    def stood_for(self) -> bool:
        """Return whether another seed's model was timed for this one."""
        return any(STANDS_IN in note for note in self.notes)
