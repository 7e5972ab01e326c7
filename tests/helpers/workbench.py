"""A small data set on disk, and trials on it in this process, for tests of training.

Imports no framework before it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tiny
from plans import plan_of

from bench.data import preparation
from bench.data.sources import list_dataset
from bench.models.backends.base import Array
from bench.models.backends.base import Backend as KerasBackend
from bench.protocol import Head, Phase, TrainingProtocol, Unfreeze
from bench.registry import BACKBONES
from bench.storage.cache import Store
from bench.storage.records import Evidence
from bench.training.accounting import ImportTime
from bench.training.events import Event, RecordMade, StageProgress
from bench.training.job import Job
from bench.types import Backbone, Dataset, Record, Settings, Trial

if TYPE_CHECKING:
    from bench.training.phase_tracker import PhaseTracker
    from bench.training.phase_trainer import PhaseTrainer

PROTOCOL = TrainingProtocol(
    name="p",
    summary="",
    head=Head(dropout=0.2),
    phases=(
        Phase("head", 3, 1e-2),
        Phase("fine-tune", 2, 1e-3, unfreeze=Unfreeze("stages", 1)),
    ),
)
SETTINGS = Settings(weights="random", batch_size=8)


def job_of(backbone: str, protocol: TrainingProtocol = PROTOCOL, *, code: str = "") -> Job:
    """Make a job with one trial, for tests that need no images."""
    trial = Trial(
        *(backbone, tiny.SIZE, "d", "f", protocol.name, protocol.digest, 0, SETTINGS, "k"),
        code=code,
    )
    return Job((trial,), protocol, Dataset("d", "", ("a", "b"), {}, "f"), None, "", "", 0)


def make_dataset(folder: Path, store: Store) -> Dataset:
    """Make a data set of two classes with 40 training, 12 validation and 16 test images."""
    tiny.write_images(folder, {"train": 40, "validation": 12, "test": 16})
    listing = list_dataset(str(folder), store=store)
    return preparation.prepare(listing, [tiny.SIZE], store=store)


def train_tail(backend: KerasBackend, phase: Phase, count: int, batch: int) -> Trained:
    """Train a phase without dropout on the given number of images."""
    from bench.models.network import Network, build_head, initialise_head, snapshot
    from bench.training.phase_tracker import single_tracker
    from bench.training.phase_trainer import PhaseTrainer
    from bench.training.rows import StoredRows

    network = Network(tiny.TINY, tiny.SIZE)
    pixels, labels = tiny.images(count, seed=1)
    network.unfreeze(phase)
    head = build_head(Head(dropout=0.0), network.features_shape, 2)
    initialise_head(head, 0)
    tail = network.tail("pixels", head, phase, fold=True)
    trainer = PhaseTrainer(phase, 0, tail, backend)
    rows = StoredRows(pixels)
    trainer.compile(rows, batch)
    losses = watch_losses(trainer)
    trackers = trainer.run(
        lambda epoch: [rows],
        labels,
        rows,
        labels,
        seed=0,
        batch_size=batch,
        learning_rate=phase.learning_rate,
    )
    weights = snapshot([*network.base.weights, *head.weights])
    return Trained(weights, single_tracker(trackers), np.concatenate(losses))


@dataclass(frozen=True)
class Trained:
    """The result of a phase: the weights of network and head, its result, and the loss of each
    batch."""

    weights: Sequence[Array]
    tracker: PhaseTracker
    batch_losses: Array


def watch_losses(trainer: PhaseTrainer) -> list[Array]:
    """Return a list to which each epoch appends the losses of its batches, with one column for each
    copy of a head."""
    seen: list[Array] = []
    fetch = trainer.step.fetch

    def watched(results: Sequence[Any]) -> Array:
        rows = fetch(results)
        seen.append(rows[:, 0])
        return rows

    trainer.step.fetch = watched  # type: ignore[method-assign]
    return seen


@dataclass
class EventLog:
    """A listener that keeps the records and stages of trials."""

    records: list[Record] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageProgress):
            self.stages.append(event.stage)
        elif isinstance(event, RecordMade):
            self.records.append(event.record)


def run(
    dataset: Dataset,
    store: Store,
    folder: Path,
    *,
    settings: Settings = SETTINGS,
    protocol: TrainingProtocol = PROTOCOL,
    seeds: tuple[int, ...] = (0,),
    fractions: tuple[float, ...] = (1.0,),
    backbone: Backbone = tiny.TINY,
    **more: Any,
) -> tuple[list[Evidence], EventLog]:
    """Run the trials of one backbone as a worker does, and raise if one fails. `more` are fields of
    the job."""
    from bench.training.trial import run_trials

    plan = plan_of([backbone], dataset, protocol, settings, seeds, fractions=fractions)
    job = Job(
        trials=plan.trials,
        protocol=protocol,
        dataset=dataset,
        weights=None,
        folder=str(folder),
        store=str(store.root),
        store_limit_bytes=store.limit_bytes,
        command=("run_bench.py", "run"),
        split_seed=0,
        **more,
    )
    log = EventLog()
    BACKBONES.add(backbone)
    try:
        run_trials(job, log, ImportTime())
    finally:
        BACKBONES.remove(backbone.name)
    failed = [r.reason for r in log.records if r.status == "failed"]
    assert not failed, failed
    return [Evidence(r, dataset.classes, folder) for r in log.records], log


def with_rate(protocol: TrainingProtocol, multiplier: float) -> TrainingProtocol:
    """Return the protocol with every learning rate multiplied."""
    phases = (replace(p, learning_rate=p.learning_rate * multiplier) for p in protocol.phases)
    return replace(protocol, phases=tuple(phases))
