"""`--json`: what commands write for programs, one JSON object a line on standard output.

The lines of `run`, `check` and `predict`, and the error of any command, are of the kinds below,
named by their `event`. docs/json.md says what the keys mean. All else goes to standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.system.files import to_json

TRIAL = ("trial", "backbone", "input_size", "seed", "fraction")  # which one a line is about
ACCURACY = ("accuracy", "val_accuracy")  # null: random weights, of which it means nothing
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
    """Write one line of a kind, which has all of its keys and no others."""
    assert sorted(values) == sorted(KEYS[event])
    write(values | {"event": event})


def write(content: Any) -> None:
    """Write one object; a reader has it at once."""
    print(to_json(content), flush=True)  # which knows file names of any bytes; msgspec does not
