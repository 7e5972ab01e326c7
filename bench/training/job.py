"""What a worker is given: plain data, so that neither side needs the other's libraries.

A job goes to its worker as a file: all but the data set, whose ids and digests may be many and are
in the run's folder already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bench.errors import BenchError
from bench.models.weights import LocatedWeights
from bench.protocol import TrainingProtocol
from bench.storage.records import read_dataset, write_dataset
from bench.system.files import from_json, to_json, write_atomic
from bench.types import Dataset, KeepModels, Measuring, Trial

ELSEWHERE = Dataset("", "", (), {}, "")


@dataclass(frozen=True)
class ImagesFrom:
    """Where the images of a data set come from, besides the seed of its splits."""

    dataset: str  # a name, or a path
    limit: int | None = None
    groups: str | None = None


@dataclass(frozen=True)
class Job:
    """Trials of one backbone, which differ in the seed and the share of training images, with all
    that is needed to run them."""

    trials: tuple[Trial, ...]
    protocol: TrainingProtocol
    dataset: Dataset
    weights: LocatedWeights | None  # as the plan found them; None: random
    folder: str  # the run's
    store: str
    store_limit_bytes: int
    plugins: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    command: tuple[str, ...] = ()  # as it was given, for the records
    split_seed: int | None = None
    keep_models: KeepModels = "none"
    keep_artefacts: bool = False
    measuring: Measuring = field(default_factory=Measuring)
    largest_fraction: float = 1.0  # of the run: robustness is measured on it alone
    pretrained: Mapping[str, LocatedWeights] = field(default_factory=dict)  # by row, to measure
    descriptions: Mapping[str, str] = field(default_factory=dict)  # of backbones that sources found
    node: str = ""  # of a cluster, where the job runs
    died: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of which runtimes, by key
    task: Literal["train", "measure", "probe"] = "train"  # to measure: trials of any backbones
    sample: tuple[int, ...] = ()  # places of the training images that are probed, or were
    groups: tuple[int, ...] = ()  # the group of each: those of one are never in two folds
    accumulation: int = 1  # parts that a batch is taken in, their gradients added up
    shortage: str = ""  # how the trials ended in larger parts
    slots: int = 1  # how many workers train at once
    estimated_seconds: float = 0.0  # that its trials take
    lost: tuple[str, ...] = ()  # how nodes were lost that ran it before
    images: ImagesFrom | None = None  # where a node may read them; None: they are in its cache

    @property
    def batch_size(self) -> int:
        return self.trials[0].settings.batch_size

    @property
    def step_images(self) -> int:
        """Return how many images one step takes."""
        return self.batch_size // self.accumulation

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what the records say of how the job was run."""
        gpus = f"trained on one of {self.slots} GPUs, next to other trials on the others"
        found = [gpus] if self.slots > 1 else []
        found += [f"submitted again: {text}" for text in self.lost]
        if self.accumulation == 1:
            return tuple(found)
        whole, part = self.batch_size, self.step_images
        found += [
            f"{self.shortage} Trained as {self.accumulation} x {part} images with accumulated "
            f"gradients: the same effective batch of {whole}.",
            "The frozen part ran in smaller pieces as well, which may change its last digits.",
        ]
        if any(phase.batchnorm == "trained" for phase in self.protocol.phases):
            found.append(
                f"BatchNorm was trained on {part} images at a time, not {whole}: its statistics "
                f"are not those of the whole batch."
            )
        return tuple(found)


def write_job(path: Path, job: Job) -> None:
    """Write the job to `path`, and its data set into the job's folder where none is there."""
    folder = Path(job.folder)
    if not (folder / "dataset.json").exists():  # as where a trial is trained again to verify it
        write_dataset(folder, job.dataset)
    write_atomic(path, to_json(replace(job, dataset=ELSEWHERE)))


def read_job(path: Path) -> Job:
    """Read a job; an error where the folder's data set has changed since."""
    return with_dataset(from_json(path.read_text(encoding="utf-8"), Job))


def with_dataset(job: Job) -> Job:
    """Return a job that was read, with its folder's data set; an error where that has changed."""
    dataset = read_dataset(Path(job.folder))
    if dataset.fingerprint != job.trials[0].dataset_fingerprint:
        raise BenchError(
            f"{job.folder}/dataset.json is not what the trial is to be trained on; it was "
            "changed in the meantime."
        )
    return replace(job, dataset=dataset)
