"""What a worker is given and what it tells: plain data, so that neither side needs the other's
libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bench.models.weights import LocatedWeights
from bench.protocol import TrainingProtocol
from bench.types import Dataset, Epoch, KeepModels, Measuring, Record, Settings, Trial


@dataclass(frozen=True)
class Blueprint:
    """What a worker must know to build a backbone's network: all that is known before the images
    are read."""

    backbone: str
    input_size: int
    classes: int
    protocol: TrainingProtocol
    settings: Settings
    weights: LocatedWeights | None  # None: random
    plugins: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    accumulation: int = 1
    code: str = ""  # digest that the backbone's code must have; "": any


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
    died: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of which runtimes, by key
    task: Literal["train", "measure"] = "train"  # to measure, trials of any backbone that trained
    accumulation: int = 1  # parts that a batch is taken in, their gradients added up
    shortage: str = ""  # how the trials ended in larger parts

    @property
    def step_images(self) -> int:
        """Return how many images one step takes."""
        return self.trials[0].settings.batch_size // self.accumulation

    @property
    def accumulation_notes(self) -> tuple[str, ...]:
        """Return what the records say of a job that takes its batches in parts."""
        if self.accumulation == 1:
            return ()
        whole, part = self.trials[0].settings.batch_size, self.step_images
        found = [
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

    @property
    def blueprint(self) -> Blueprint:
        """Of the network that the job trains."""
        trial = self.trials[0]
        return Blueprint(
            backbone=trial.backbone,
            input_size=trial.input_size,
            classes=len(self.dataset.classes),
            protocol=self.protocol,
            settings=trial.settings,
            weights=self.weights,
            plugins=self.plugins,
            packages=self.packages,
            accumulation=self.accumulation,
            code=trial.code,
        )


class Listener(Protocol):
    """Hears how the work goes on. A trial's record comes once it has trained, and again, with a
    session, once it has been measured."""

    def stage(self, trial: Trial, stage: str, done: int = 0, total: int = 0) -> None: ...

    def epoch(self, trial: Trial, phase: str, of: int, number: int, epoch: Epoch) -> None: ...

    def note(self, text: str) -> None: ...

    def record(self, record: Record) -> None: ...
