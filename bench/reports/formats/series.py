"""Trials as experiment trackers store them: parameters, a series of epochs, final figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from bench.analysis.escape import one_line
from bench.analysis.findings import Findings
from bench.analysis.metrics.base import METRICS
from bench.types import Record


@dataclass(frozen=True)
class Series:
    """A finished trial."""

    name: str
    record: Record
    parameters: Mapping[str, str]
    epochs: tuple[Mapping[str, float], ...]  # over all phases, in order
    figures: Mapping[str, float]


def all_series(findings: Findings) -> Iterator[Series]:
    """Yield every finished trial, backbone by backbone."""
    rows = {row["trial"]: row for _, row in findings.trials.iterrows()}
    for label, records in findings.records.items():
        for record in records:
            if record.status == "ok":
                yield _series(findings, label, record, rows[record.trial.key])


def _series(findings: Findings, label: str, record: Record, row: pd.Series) -> Series:
    trial = record.trial
    name = f"{one_line(label)} seed {trial.seed}"
    name += f" on {trial.fraction:g} of the images" if trial.fraction != 1 else ""
    parameters = {
        "run": findings.run.name,
        "backbone": trial.backbone,
        "weights": record.weights.source if record.weights else "",
        "ranked": str(record.pretrained),
        "input_size": str(trial.input_size),
        "seed": str(trial.seed),
        "fraction": f"{trial.fraction:g}",
        "dataset": trial.dataset,
        "dataset_fingerprint": trial.dataset_fingerprint,
        "protocol": trial.protocol,
        "protocol_digest": trial.protocol_digest,
        "batch_size": str(trial.settings.batch_size),
    }
    epochs = tuple(
        {"loss/train": epoch.loss, "loss/validation": epoch.val_loss}
        | (
            {"accuracy/train": epoch.accuracy, "accuracy/validation": epoch.val_accuracy}
            if record.pretrained  # meaningless with random weights
            else {}
        )
        for phase in record.phases
        for epoch in phase.epochs
    )
    figures = {n: float(row[n]) for n in METRICS.names if not pd.isna(row[n])}
    return Series(name, record, {k: one_line(v) for k, v in parameters.items()}, epochs, figures)
