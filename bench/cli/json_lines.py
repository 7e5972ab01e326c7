"""`--json`: what commands write for programs, one JSON object a line on standard output.

The lines of `run`, `check` and `predict`, and the error of any command, are of the kinds below,
named by their `event`. docs/json.md says what the keys mean. All else goes to standard error.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from bench.storage.run_folder import Skipped
from bench.system.files import to_json


class Line(Struct, tag_field="event", tag=str.lower, kw_only=True):
    """One line; its tag is the class's name in lower case."""


class OfTrial(Line):
    """Which trial a line is about."""

    trial: str
    backbone: str
    input_size: int
    seed: int
    fraction: float


class Caveat(Line, tag="warning"):
    text: str


class Message(Line, tag="note"):
    text: str


class Dataset(Line):
    description: str


class Task(Line):
    task: str
    step: str
    done: int
    total: int


class Plan(Line):
    folder: str
    trials: int
    to_train: int
    to_measure: int
    seconds: float | None
    skipped: tuple[Skipped, ...]


class Stage(OfTrial):
    stage: str


class Epoch(OfTrial):
    phase: str
    number: int
    epochs: int
    loss: float
    accuracy: float | None  # null: random weights, of which it means nothing
    val_loss: float
    val_accuracy: float | None
    seconds: float


class EndedTrial(OfTrial, tag="trial"):
    status: str
    reason: str
    weights: str | None
    accuracy: float | None
    seconds: float


class Runtime(OfTrial):
    runtime: str
    status: str
    reason: str
    latency_ms: float | None


class Progress(Line):
    share: float
    seconds_left: float


class Interruption(Line, tag="interrupted"):
    pass


class Reports(Line):
    pass


class Result(Line):
    folder: str
    exit_code: int
    report: Any  # the content of report.json


class Check(Line):
    backbone: str
    check: str
    status: str
    text: str
    seconds: float


class Caution(Line):
    backbone: str
    text: str


class Checked(Line):
    backbone: str
    passed: int
    checks: int
    seconds: float


class Model(Line):
    run: str
    backbone: str
    trial: str
    classes: tuple[str, ...]
    temperature: float | None
    min_confidence: float


class Image(Line):
    image: str
    predicted: str | None = field(name="class", default=None)
    confidence: float | None = None
    low_confidence: bool = False
    probabilities: tuple[float, ...] = ()
    error: str = ""
    heatmap: str = ""


class Error(Line):
    error: str
    exit_code: int


def write(content: Any) -> None:
    """Write one object; a reader has it at once."""
    if isinstance(content, Line):
        names = zip(content.__struct_encode_fields__, content.__struct_fields__, strict=True)
        fields = {key: getattr(content, name) for key, name in names}
        content = fields | {"event": content.__struct_config__.tag}
    print(to_json(content), flush=True)  # which knows file names of any bytes; msgspec does not
