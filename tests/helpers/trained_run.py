"""A very small run that is really trained: three classes, two seeds, with kept weights.

It has 51 validation images, so that a temperature can be fitted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tiny
from plans import execute, plan_of, silent

from bench.data import preparation
from bench.data.sources import list_dataset
from bench.execution.executors.inline import Inline
from bench.execution.request import RunRequest
from bench.execution.run_meta import RunInputs
from bench.protocol import Head, Phase, TrainingProtocol, Unfreeze
from bench.registry import BACKBONES
from bench.storage.arrays import read_trained, sort_best_first, write_trained
from bench.storage.cache import Store
from bench.storage.records import StoredRun, read_records, read_run, write_lines
from bench.system.files import to_json
from bench.types import KeepModels, Measuring, Settings

CLASSES = ("=cat", "dog & co", "fox")
COUNTS = {"train": 60, "validation": 51, "test": 24}
PROTOCOL = TrainingProtocol(
    "p",
    "a head, then the last stage",
    Head(dropout=0.2),
    (
        Phase("head", 4, 1e-2),
        Phase("fine-tune", 2, 1e-3, unfreeze=Unfreeze("stages", 1)),
    ),
)
SETTINGS = Settings()
MEASURING = Measuring(latency_seconds=0.02)


def make(
    home: Path,
    *,
    keep: KeepModels = "best",
    seeds: tuple[int, ...] = (0, 1),
    settings: Settings = SETTINGS,
    measuring: Measuring = MEASURING,
) -> Path:
    """Train the run; the images are in `home/data`, the run in `home/results/r`."""
    tiny.write_images(home / "data", COUNTS, CLASSES)
    store = Store(home / "cache")
    listing = list_dataset(str(home / "data"), store=store)
    dataset = preparation.prepare(listing, [tiny.SIZE], store=store)
    plan = plan_of([BACKBONES["tiny"]], dataset, PROTOCOL, settings, seeds, measuring=measuring)
    folder = home / "results" / "r"
    request = RunRequest(command=("run_bench.py", "--run", "r"), keep_models=keep)
    records = execute(RunInputs(plan, folder, request, store), Inline(), silent)
    assert [r.reason for r in records] == [""] * len(seeds)
    return folder


def with_other(folder: Path, size: int = tiny.SIZE) -> StoredRun:
    """Turn the second seed in a copy of the run into the backbone `other`, with another head and,
    optionally, another input size."""
    first, second = sort_best_first(read_records(folder))
    trained = read_trained(folder, first.trial.key)
    write_trained(folder, second.trial.key, replace(trained, head=tuple(-w for w in trained.head)))
    trial = replace(second.trial, backbone="other", input_size=size)
    write_lines(folder, map(to_json, (first, replace(second, trial=trial))))
    return read_run(folder)
