"""`manifest.json`: everything that the figures of each trial depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from bench.system.command_line import format_command
from bench.system.files import to_json
from bench.types import Record


def json_parts(records: Sequence[Record]) -> Iterator[str]:
    """Yield the JSON list trial by trial; thousands of them at once would take much memory."""
    for number, record in enumerate(records):
        yield ",\n  " if number else "[\n  "
        yield to_json(manifest_entry(record), indent=2).replace("\n", "\n  ")
    yield "\n]" if records else "[]"


def manifest_entry(record: Record) -> dict[str, Any]:
    """Return the entry of a trial in `manifest.json`."""
    trial = record.trial
    return {
        "trial": trial.key,
        "command": format_command(record.command, record.environment),
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
