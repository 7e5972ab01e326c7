"""What defines a trial, and what is measured on trained models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

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
DEVICES: tuple[Device, ...] = get_args(Device)
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
    code: str = ""  # digest of the backbone's code (`code_digest.py`); "" in older records
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
    def title(self) -> str:
        """Return the name with the seed, and with the share of the training images if not all."""
        share = f", on {100 * self.fraction:g}% of the images" if self.fraction < 1 else ""
        return f"{self.name}, seed {self.seed}{share}"

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
