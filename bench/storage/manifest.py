"""What exactly a trial was: everything that its figures depend on, from its record alone.

The record is what is stored; this only lays it out, for `manifest.json` and to hold two trainings
of one trial against each other.
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
    """One fact that was another when a trial was trained again."""

    fact: str
    before: str
    after: str


def manifest(record: Record) -> dict[str, Any]:
    """Command, code, data, protocol, settings, weights and environment of one trial."""
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
    """What was not the same around two trainings of one trial: weights and environment."""
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
