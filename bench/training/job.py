"""The job of a worker: plain data, so that neither process needs the other's libraries.

A job is passed to its worker as a file, without the data set, whose many ids and digests are in the
run's folder already.
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

NO_DATASET = Dataset("", "", (), {}, "")


@dataclass(frozen=True)
class ImagesFrom:
    """The source of a data set's images; with the split seed it determines the data set."""

    dataset: str  # a name, or a path
    limit: int | None = None
    groups: str | None = None


@dataclass(frozen=True)
class Job:
    """Trials of one backbone, which differ in seed and fraction of the training set, with all that
    is needed to run them."""

    trials: tuple[Trial, ...]
    protocol: TrainingProtocol
    dataset: Dataset
    weights: LocatedWeights | None  # None: random
    folder: str  # of the run
    store: str  # folder of the cache
    store_limit_bytes: int
    plugins: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    command: tuple[str, ...] = ()  # the user's command, for the records
    split_seed: int | None = None
    keep_models: KeepModels = "none"
    keep_artefacts: bool = False
    measuring: Measuring = field(default_factory=Measuring)
    largest_fraction: float = 1.0  # of the run's trials: only these are tested for robustness
    pretrained: Mapping[str, LocatedWeights] = field(default_factory=dict)  # by trial name
    descriptions: Mapping[str, str] = field(default_factory=dict)  # of backbones that sources found
    node: str = ""  # the cluster node that runs the job
    died: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # trial key -> runtimes
    task: Literal["train", "measure", "probe"] = "train"  # "measure" may have several backbones
    sample: tuple[int, ...] = ()  # indices of the training images that screening probes
    groups: tuple[int, ...] = ()  # of each sampled image; a group is never in two folds
    accumulation: int = 1  # parts per batch, whose gradients are accumulated
    shortage: str = ""  # how the trials ran out of memory with larger parts
    slots: int = 1  # workers that train at the same time
    estimated_seconds: float = 0.0  # of its trials
    lost: tuple[str, ...] = ()  # how earlier nodes of this job were lost
    images: ImagesFrom | None = None  # where a node reads the images; None: from its cache

    @property
    def batch_size(self) -> int:
        return self.trials[0].settings.batch_size

    @property
    def step_images(self) -> int:
        """Return the number of images in one part of a batch."""
        return self.batch_size // self.accumulation

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes for the records about how the job was run."""
        notes = []
        if self.slots > 1:
            notes.append(f"trained on one of {self.slots} GPUs, with other trials on the others")
        notes += [f"submitted again: {text}" for text in self.lost]
        if self.accumulation == 1:
            return tuple(notes)
        whole, part = self.batch_size, self.step_images
        notes += [
            f"{self.shortage} Trained as {self.accumulation} x {part} images with accumulated "
            f"gradients: the same effective batch of {whole}.",
            "The frozen part ran in smaller pieces as well, which may change its last digits.",
        ]
        if any(phase.batchnorm == "trained" for phase in self.protocol.phases):
            notes.append(
                f"BatchNorm was trained on {part} images at a time, not {whole}: its statistics "
                f"are not those of the whole batch."
            )
        return tuple(notes)


def write_job(path: Path, job: Job) -> None:
    """Write the job to `path`, and its data set to the job's folder if that has none."""
    folder = Path(job.folder)
    if not (folder / "dataset.json").exists():  # when a trial is trained again to verify it
        write_dataset(folder, job.dataset)
    write_atomic(path, to_json(replace(job, dataset=NO_DATASET)))


def read_job(path: Path) -> Job:
    """Read a job and its data set; raise `BenchError` if the data set has changed."""
    return attach_dataset(from_json(path.read_text(encoding="utf-8"), Job))


def attach_dataset(job: Job) -> Job:
    """Return the job with the data set in its folder; raise `BenchError` if that has changed."""
    dataset = read_dataset(Path(job.folder))
    if dataset.fingerprint != job.trials[0].dataset_fingerprint:
        raise BenchError(
            f"{job.folder}/dataset.json is not the data set of this job; it was changed after the "
            "job was planned."
        )
    return replace(job, dataset=dataset)
