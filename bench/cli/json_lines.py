"""`--json`: output for programs, one JSON object per line on standard output.

`run`, `check` and `predict`, and any command that fails, write lines of the kinds below, named by
their `event`. docs/json.md documents the keys. Other text goes to standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.system.files import to_json

TRIAL = ("trial", "backbone", "input_size", "seed", "fraction")  # keys that identify a trial
ACCURACY = ("accuracy", "val_accuracy")  # null for random weights, whose accuracy means nothing
KEYS: Mapping[str, tuple[str, ...]] = {
    "warning": ("text",),
    "note": ("text",),
    "dataset": ("description",),
    "task": ("task", "step", "done", "total"),
    "plan": ("folder", "trials", "to_train", "to_measure", "seconds", "skipped"),
    "stage": (*TRIAL, "stage"),
    "epoch": (*TRIAL, "phase", "number", "epochs", "loss", "val_loss", *ACCURACY, "seconds"),
    "trial": (*TRIAL, "status", "reason", "weights", "accuracy", "seconds"),
    "runtime": (*TRIAL, "runtime", "status", "reason", "latency_ms"),
    "progress": ("share", "seconds_left"),
    "interrupted": (),
    "reports": (),
    "result": ("folder", "exit_code", "report"),
    "check": ("backbone", "check", "status", "text", "seconds"),
    "caution": ("backbone", "text"),
    "checked": ("backbone", "passed", "checks", "seconds"),
    "model": ("run", "backbone", "trial", "classes", "temperature", "min_confidence"),
    "image": (
        *("image", "class", "confidence", "low_confidence", "probabilities", "error", "heatmap"),
    ),
    "error": ("error", "exit_code"),
}


def write_event(event: str, **values: Any) -> None:
    """Write one line of the kind `event`; `values` must have exactly its keys."""
    assert sorted(values) == sorted(KEYS[event])
    write(values | {"event": event})


def write(content: Any) -> None:
    """Write one object as a line and flush it."""
    print(to_json(content), flush=True)  # msgspec cannot encode file names that are not Unicode
