"""A trial, its settings, and what is measured on trained models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

KeepModels = Literal["none", "best", "all"]
KEEP_MODELS: tuple[KeepModels, ...] = get_args(KeepModels)
"""The trained weights that a run keeps: none, each backbone's best seed, or all trials."""

OnLeak = Literal["warn", "drop", "fail"]
ON_LEAK: tuple[OnLeak, ...] = get_args(OnLeak)
"""If test images are also in train or validation: report it, drop the copies there, or stop."""

WeightsChoice = str  # "auto", "imagenet", "random" or a folder

DEFAULT_MARGIN = 1.0
"""Percentage points of accuracy: a cheaper backbone shown to be within this of the best may be
recommended."""

Device = Literal["auto", "cpu", "gpu"]
DEVICES: tuple[Device, ...] = get_args(Device)
"""Where to compute: on a GPU if there is one, on the processor, or on a GPU only."""

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""Keras' names of the precision in which layers compute; weights and logits are float32 in all."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a trial besides the protocol: the same for every backbone of a run."""

    weights: WeightsChoice = "auto"
    batch_size: int = 32
    device: str = "auto"
    cache: bool = True
    tune: int = 0  # how many learning rates each backbone may try; 0: the protocol's only
    deterministic: bool = False  # use the framework's deterministic operations
    precision: Precision = "float32"
    threads: int = 0  # CPU threads in training and in timing; 0: one per core


@dataclass(frozen=True)
class Measuring:
    """What to measure on trained models; a change needs no new training."""

    latency_seconds: float = 2.0  # time spent on queries of one image, per model
    runtimes: str = "keras"  # to time trained models with: `all`, or NAME,NAME
    robustness: bool = False  # test on corrupted images
    probes: bool = False  # fit simple classifiers to the frozen features
    heatmaps: bool = True  # explain mistakes
    soups: bool = False  # average the weights of a backbone's seeds; all are kept for it


@dataclass(frozen=True, slots=True)
class Trial:
    """The unit of work: one backbone on one data set under one protocol with one seed."""

    backbone: str
    input_size: int
    dataset: str
    dataset_fingerprint: str
    protocol: str
    protocol_digest: str
    seed: int
    settings: Settings
    key: str  # content hash of all that affects the result
    fraction: float = 1.0  # of the training set, for learning curves
    code: str = ""  # digest of the backbone's code (`models/code_digest.py`); "" in older records
    sized: bool = False  # the run has several input sizes, so `name` includes the size

    @property
    def names(self) -> tuple[str, str]:
        """Return the backbone's names that a user may give: without and with the input size."""
        return self.backbone, at_size(self.backbone, self.input_size)

    @property
    def name(self) -> str:
        """Return the backbone's name in its run, with the input size if the run has several."""
        return self.names[self.sized]

    @property
    def title(self) -> str:
        """Return the name with the seed and, below 1, the fraction of the training set."""
        fraction = f", on {100 * self.fraction:g}% of the images" if self.fraction < 1 else ""
        return f"{self.name}, seed {self.seed}{fraction}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds with which the model was trained."""
        return (self.seed,)


SOUP = "@soup"
"""Suffix of a backbone's name for its soup, the mean of the weights of several seeds."""


@dataclass(frozen=True)
class SoupTrial(Trial):
    """The trial of a soup: that of the seed whose record holds it. It is never written to disk."""

    averaged: tuple[int, ...] = ()  # the seeds whose weights are averaged

    @property
    def name(self) -> str:
        return super().name + SOUP

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.averaged


def at_size(backbone: str, input_size: int) -> str:
    """Return the name of a backbone at one input size, `NAME@SIZE`."""
    return f"{backbone}@{input_size}"
