"""Manifests: everything that a trial's figures depend on, laid out from its record.

Used for `manifest.json`, and to compare two trainings of one trial.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.system.command_line import typed
from bench.types import Record

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Change:
    """One fact that changed when a trial was trained again."""

    fact: str
    before: str
    after: str


def manifest(record: Record) -> dict[str, Any]:
    """Return command, code, data, protocol, settings, weights and environment of one trial."""
    trial = record.trial
    return {
        "trial": trial.key,
        "command": typed(record.command),
        "backbone": trial.backbone,
        "input_size": trial.input_size,
        "seed": trial.seed,
        "fraction": trial.fraction,
        "dataset": {
            "name": trial.dataset,
            "fingerprint": trial.dataset_fingerprint,
            "split_seed": record.split_seed,
            "train_images": record.train_images,
        },
        "protocol": {"name": trial.protocol, "digest": trial.protocol_digest},
        "settings": asdict(trial.settings),
        "code": trial.code,
        "weights": None if record.weights is None else asdict(record.weights),
        "environment": dict(record.environment),
        "timed": {
            result.name: {"started": session.started, "latency_seconds": session.latency_seconds}
            for result in record.runtimes
            if (session := result.session or record.session) is not None
        },
        "threads": None if record.session is None else record.session.threads,
        "started": record.started,
        "finished": record.finished,
    }


def changes(before: Record, after: Record) -> list[Change]:
    """Return how weights and environment differ between two trainings of one trial."""
    old, new = (dict(_flat(_around(record))) for record in (before, after))
    return [
        Change(fact, old.get(fact, NOT_RECORDED), new.get(fact, NOT_RECORDED))
        for fact in sorted({*old, *new})
        if old.get(fact) != new.get(fact)
    ]


def _around(record: Record) -> dict[str, Any]:
    whole = manifest(record)
    return {"weights": whole["weights"] or {}, **whole["environment"]}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        else:
            yield f"{prefix}{key}", str(value)
