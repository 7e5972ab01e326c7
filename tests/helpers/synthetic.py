"""Synthetic runs for reports, written with the harness's own writers.

Every figure follows from the arguments and a seeded generator. The records are complete, so a
report cannot distinguish them from real ones.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.result import SCHEMA as AUDIT_SCHEMA
from bench.data.audit.result import Audit, ImagePair
from bench.protocol import Augment, Head, Phase, TrainingProtocol, Unfreeze
from bench.storage.arrays import write_arrays
from bench.storage.records import SCHEMA, write_lines
from bench.system.files import to_json, write_atomic
from bench.types import (
    SPLITS,
    Dataset,
    Epoch,
    Excluded,
    PhaseResult,
    Record,
    RuntimeResult,
    Settings,
    Split,
    SplitName,
    Trial,
    WeightsUsed,
)

CATS_AND_DOGS = ("cats", "dogs")
PROTOCOL = TrainingProtocol(
    name="default",
    summary="Train a head on the frozen backbone, then fine-tune its last stage.",
    head=Head(dropout=0.2),
    phases=(
        Phase("head", 6, 1e-3),
        Phase("fine-tune", 4, 1e-5, unfreeze=Unfreeze("stages", 1), augment=Augment(flip=True)),
    ),
)


@dataclass(frozen=True)
class Net:
    """One backbone of a synthetic run; `skill` is how well it separates the classes."""

    name: str
    skill: float = 3.0
    latency_ms: float = 20.0
    parameters: int = 3_500_000
    source: str = "imagenet"
    fails: str = ""  # the reason, where it does
    fails_seeds: Sequence[int] | None = None  # which seeds; None: all of them


SIX = (
    Net("mobilenetv2", 3.4, 14.2, 2_259_265),
    Net("resnet50", 3.9, 48.0, 23_589_761),
    Net("efficientnet_lite0", 3.7, 17.9, 3_414_305),
    Net("inceptionv3", 0.0, 61.0, 21_804_833, source="random init"),
    Net("efficientnetb0", 0.0, 35.5, 4_050_852, source="random init"),
    Net("vgg16", fails="'from layer 100' leaves nothing of vgg16 to train: it has 19 layers."),
)


def make_run(
    folder: Path,
    nets: Sequence[Net] = SIX,
    *,
    classes: Sequence[str] = CATS_AND_DOGS,
    seeds: Sequence[int] = (0,),
    images: int = 60,
    queries: int = 100,
    excluded: Sequence[Excluded] = (),
    **meta: Any,
) -> Path:
    """Write a whole run; `images` is their number in each split, with alternating classes."""
    dataset = _dataset(tuple(classes), images, tuple(excluded))
    write_atomic(folder / "dataset.json", to_json(dataset))
    write_atomic(folder / "run.json", to_json(_meta(folder.name, dataset) | meta))
    records = []
    for net in nets:
        for seed in seeds:
            record = make_record(net, _trial(net, dataset, seed))
            records.append(record)
            if record.status == "ok":
                arrays = make_arrays(net, dataset, seed, queries=queries)
                write_arrays(folder, record.trial.key, arrays)
    write_records(folder, records)
    return folder


def write_records(folder: Path, records: Iterable[Record]) -> None:
    """Replace the records of a run."""
    write_lines(folder, map(to_json, records))


def audit_of(*pairs: ImagePair, **found: Any) -> Audit:
    """Return the audit of such a data set, with the given pairs and other findings."""
    nothing = Audit(
        schema=AUDIT_SCHEMA,
        dataset="demo",
        fingerprint="",
        classes=CATS_AND_DOGS,
        images={"train": 120, "validation": 60, "test": 60},
        threshold=0.75,
        compared=7,
        pairs=pairs,
        broken_groups=(),
        balance=(),
        excluded=(),
        wrong_extensions=(),
    )
    return dataclasses.replace(nothing, **found)


def answers(wrong: Iterable[int], images: int, certainty: float = 0.9) -> NDArray[np.float64]:
    """Make the probabilities of a network that misclassifies these images of two classes."""
    labels = np.arange(images) % 2
    labels[list(wrong)] ^= 1
    return np.where(np.eye(2)[labels] == 1, certainty, 1 - certainty)


def judged(probabilities: NDArray[Any], **more: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Make the arrays of a trial with these probabilities for validation and test images."""
    labels = np.arange(len(probabilities)) % 2
    return {
        "test_labels": labels,
        "test_probabilities": probabilities,
        "validation_labels": labels,
        "validation_probabilities": probabilities,
        **more,
    }


def _dataset(classes: tuple[str, ...], images: int, excluded: tuple[Excluded, ...]) -> Dataset:
    splits: dict[SplitName, Split] = {}
    for split in SPLITS:
        count = images * 2 if split == "train" else images
        labels = tuple(i % len(classes) for i in range(count))
        splits[split] = Split(tuple(f"{split}/{i:05d}.png" for i in range(count)), labels)
    return Dataset(
        name="demo",
        description="made-up images; no photographs were found on this machine",
        classes=classes,
        splits=splits,
        fingerprint="0123456789abcdef" * 4,
        excluded=excluded,
        notes=("validation was carved from train by seed",),
    )


def _meta(name: str, dataset: Dataset) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": name,
        "created": "2025-03-01T12:00:00+00:00",
        "command": ["run_bench.py", "--backbones", "all", "--run", name],
        "dataset": {"name": dataset.name, "excluded": len(dataset.excluded)},
        "protocol": dataclasses.asdict(PROTOCOL) | {"digest": PROTOCOL.digest},
        "settings": dataclasses.asdict(Settings()),
        "skipped": [],
        "broken_plugins": [],
        "notes": [],
        "environment": {
            "backbone_bench": "0.1.0",
            "processor": "Imaginary CPU @ 3.00GHz",
            "cores": 2,
            "versions": {"keras": "3.11.0", "tensorflow": "2.19.0"},
        },
    }


def _trial(net: Net, dataset: Dataset, seed: int) -> Trial:
    return Trial(
        backbone=net.name,
        input_size=224,
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        protocol="default",
        protocol_digest=PROTOCOL.digest,
        seed=seed,
        settings=Settings(),
        key=hashlib.sha256(f"{net.name} {seed}".encode()).hexdigest()[:16],
    )


def make_record(net: Net, trial: Trial, protocol: TrainingProtocol = PROTOCOL) -> Record:
    """Make the record of a trial of `net`, without its arrays."""
    when: dict[str, Any] = {
        "started": "2025-03-01T12:00:00+00:00",
        "finished": "2025-03-01T12:01:00+00:00",
    }
    if net.fails and (net.fails_seeds is None or trial.seed in net.fails_seeds):
        return Record(SCHEMA, trial, "failed", reason=net.fails, **when)
    train = net.latency_ms / 2 + trial.seed
    seconds = {
        "imports": 3.0,
        "data": 1.5,
        "build": 2.5,
        "features": net.latency_ms / 4,
        "compile": 4.0,
        "train": train,
        "measure": 5.0,
    }
    return Record(
        schema=SCHEMA,
        trial=trial,
        status="ok",
        weights=WeightsUsed(net.source, f"{net.name}_notop.h5", "ab" * 32),
        parameters=net.parameters,
        size_bytes=4 * net.parameters,
        phases=_phases(net, trial.seed, train, protocol),
        runtimes=(RuntimeResult("keras", (1, 8), 2.0),),
        seconds=seconds | {"total": sum(seconds.values()), "reused": 1.5},
        notes=("no horizontal flip was cached",) if net.name == "resnet50" else (),
        **when,
    )


def _phases(
    net: Net, seed: int, train_seconds: float, protocol: TrainingProtocol
) -> tuple[PhaseResult, ...]:
    random = np.random.default_rng([seed, len(net.name), 7])
    results, done = [], 0
    for phase in protocol.phases:
        head = phase.name == "head"
        stops = not head and seed % 2 == 1 and phase.epochs > 1
        epochs = []
        for _ in range(phase.epochs - stops):
            done += 1
            fit = np.exp(-0.35 * done * (0.4 + net.skill / 5))
            wobble = random.normal(scale=0.012)
            loss = 0.05 + 0.65 * fit
            val_loss = loss + 0.02 + 0.004 * done + wobble
            accuracy = 0.985 - 0.45 * fit
            val = min(1.0, accuracy - 0.01 - wobble)
            epochs.append(Epoch(loss, accuracy, val_loss, val, train_seconds / 10))
        best = int(np.argmin([e.val_loss for e in epochs])) + 1
        results.append(
            PhaseResult(
                name=phase.name,
                cut="features" if head else "block_15_out",
                views="one view, cached" if head else "2 views, cached",
                trainable_parameters=1281 if head else 887_361,
                best_epoch=best,
                stopped_early=stops,
                epochs=tuple(epochs),
                compile_seconds=2.0,
                train_seconds=train_seconds / 2,
            )
        )
    return tuple(results)


def make_arrays(
    net: Net, dataset: Dataset, seed: int, *, phases: int = len(PROTOCOL.phases), queries: int = 0
) -> dict[str, NDArray[Any]]:
    """Make the probabilities of `net` for validation and test images, and query durations."""
    random = np.random.default_rng([seed, len(net.name), round(net.skill * 10)])
    arrays: dict[str, NDArray[Any]] = {}
    scored: tuple[SplitName, ...] = ("validation", "test")
    for split in scored:
        labels = np.array(dataset.splits[split].labels)
        arrays[f"{split}_labels"] = labels
        arrays[f"{split}_probabilities"] = _probabilities(random, net, labels, dataset.classes)
    arrays["phase_test_probabilities"] = np.stack([arrays["test_probabilities"]] * phases)
    if queries:
        seconds = net.latency_ms / 1000
        arrays["latency_keras_b1"] = seconds * random.lognormal(0, 0.08, queries)
        arrays["latency_keras_b8"] = 5 * seconds * random.lognormal(0, 0.05, 20)
    return arrays


def _probabilities(
    random: np.random.Generator, net: Net, labels: NDArray[Any], classes: Sequence[str]
) -> NDArray[np.float64]:
    logits = random.normal(size=(len(labels), len(classes)))
    logits[np.arange(len(labels)), labels] += net.skill
    # Neighbours are look-alikes: mistakes that a reader can find in the confusion matrix.
    logits[np.arange(len(labels)), (labels + 1) % len(classes)] += net.skill / 3
    powers = np.exp(logits)
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
