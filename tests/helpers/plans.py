"""Plans for a data set of two images, which only a scripted executor can execute; listeners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from bench.execution.executors import Executor
from bench.execution.executors.inline import Inline
from bench.execution.plan import Plan, make_plan, with_input_sizes
from bench.execution.request import RunRequest
from bench.execution.run import execute_plan, open_run
from bench.execution.run_meta import RunInputs
from bench.models.weights import LocatedWeights
from bench.protocol import Head, Phase, TrainingProtocol
from bench.training.events import Event, Listener, Note
from bench.types import Backbone, Dataset, Record, Settings, Split

PROTOCOL = TrainingProtocol("p", "", Head(), (Phase("head", 1, 0.1),))
DATASET = Dataset(
    name="data",
    description="",
    classes=("a", "b"),
    splits={name: Split(("x", "y"), (0, 1)) for name in ("train", "validation", "test")},
    fingerprint="f" * 64,
)
REQUEST = RunRequest(command=("run_bench.py",), keep_models="none")


def backbone(name: str, **changes: object) -> Backbone:
    """Declare a backbone that cannot be built."""
    return replace(Backbone(name, "a:b", "a:b", 64, ("one", "two")), **changes)  # type: ignore[arg-type]


def plan_of(
    backbones: Sequence[Backbone],
    dataset: Dataset = DATASET,
    protocol: TrainingProtocol = PROTOCOL,
    settings: Settings | None = None,
    seeds: Sequence[int] = (0,),
    *,
    weights: LocatedWeights | None = None,
    input_size: int | Sequence[int] = (),
    **more: Any,
) -> Plan:
    """Plan trials of these backbones, all with the same weights; None: random ones."""
    sizes = (input_size,) if isinstance(input_size, int) else input_size
    places = [(one.name, size) for one, size in with_input_sizes(backbones, protocol, sizes)]
    return make_plan(
        backbones,
        dataset,
        protocol,
        settings or Settings(),
        seeds,
        input_sizes=sizes,
        keras_backend="tensorflow",
        matrix_rate=1e11,
        located=dict.fromkeys(places, weights),
        **more,
    )


def plan(*names: str, **more: Any) -> Plan:
    """Plan trials of backbones with these names."""
    return plan_of([backbone(name) for name in names], **more)


def silent(event: Event) -> None:
    """Ignore an event."""


class Told:
    """A listener that keeps the texts of notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note):
            self.notes.append(event.text)


@contextmanager
def small_products() -> Iterator[None]:
    """Measure the hardware's speed on small matrices, as the usual ones take longer than training
    and timing the tiny backbone."""
    from bench.inference.measuring import hardware

    with (
        patch.dict(hardware.PEAK, cpu=(128, 8)),
        patch.dict(hardware.CALIBRATION, cpu=(64, 8)),
    ):
        yield


def execute(inputs: RunInputs, executor: Executor, listener: Listener) -> tuple[Record, ...]:
    """Execute the missing trials of the plan; return the records of all its trials."""
    small = small_products() if isinstance(executor, Inline) else nullcontext()
    with small, open_run(inputs) as remaining:
        records = execute_plan(inputs, remaining, executor, listener).records
    keys = {trial.key for trial in inputs.plan.trials}
    return tuple(record for key, record in records.items() if key in keys)
