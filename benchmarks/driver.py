"""Measure the costs of directing thousands of trials: scripted ones, on simulated nodes.

    python benchmarks/driver.py [--trials 10000] [--nodes 200] [--backbones 50]

A node is a thread that sends events, arrays, weights and logs as real nodes do, and trains nothing.
The receiver is real: records, progress, live display, reports. Prints for each part the processor
time without that of the simulated nodes, and the peak memory with theirs.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT)]

from bench.system.frameworks import UNUSED_BY_PANDAS, hide_packages  # noqa: E402

with hide_packages(*UNUSED_BY_PANDAS):  # as `run` does
    import pandas  # noqa: F401

import numpy as np  # noqa: E402
import plans  # noqa: E402
import synthetic  # noqa: E402
from rich.console import Console  # noqa: E402

from bench import reports  # noqa: E402
from bench.cli.run_display import RunDisplay  # noqa: E402
from bench.execution.executors import Executor, follow  # noqa: E402
from bench.execution.executors.node import Sent, SentFile, receive  # noqa: E402
from bench.execution.run import execute_plan, open_run  # noqa: E402
from bench.execution.run_meta import RunInputs  # noqa: E402
from bench.execution.status import ProgressFile  # noqa: E402
from bench.reports.sections import sections  # noqa: E402
from bench.storage.cache import Store  # noqa: E402
from bench.system.memory import peak_memory, reset_peak  # noqa: E402
from bench.training.events import (  # noqa: E402
    Ended,
    EpochEnded,
    Listener,
    RecordMade,
    RecordMeasured,
    StageProgress,
    TrainingStarted,
    Waiting,
)
from bench.training.job import Job  # noqa: E402
from bench.types import SPLITS, RuntimeResult, Session, Split  # noqa: E402

OUT = sys.stdout  # the live display replaces it
STAGES = ("building", "frozen part, train", "frozen part, test")
STEPS = 10  # events of progress in each
WEIGHTS_BYTES = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000, metavar="N")
    parser.add_argument("--nodes", type=int, default=200, metavar="N")
    parser.add_argument("--backbones", type=int, default=50, metavar="N")
    parser.add_argument("--images", type=int, default=480, metavar="N", help="in each split")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        _run(arguments, Path(place))
    return 0


def _run(arguments: argparse.Namespace, place: Path) -> None:
    count = arguments.images
    ids, labels = tuple(f"{i}.png" for i in range(count)), tuple(i % 2 for i in range(count))
    splits = {split: Split(ids, labels) for split in SPLITS}
    nets = {f"net{i}": synthetic.Net(f"net{i}", 2 + i / 20) for i in range(arguments.backbones)}
    plan = plans.plan_of(
        [plans.backbone(name) for name in nets],
        replace(plans.DATASET, splits=splits),
        synthetic.PROTOCOL,
        seeds=range(arguments.trials // arguments.backbones),
    )
    inputs = RunInputs(plan, place / "r", plans.REQUEST, Store(place / "cache"))
    nodes = Nodes(nets, arguments.nodes)
    with (place / "terminal").open("w") as terminal, open_run(inputs) as remaining:
        console = Console(file=terminal, force_terminal=True, width=120, height=50)
        with RunDisplay(console) as display, ProgressFile(inputs.folder, display) as listener:
            listener(TrainingStarted())
            execute_plan(inputs, remaining, nodes, listener)
    nodes.say("measuring")
    findings = reports.read(inputs.folder)
    nodes.say("analysis")
    shown = sections(findings)
    nodes.say("sections")
    reports.write(findings, shown)
    nodes.say("reports")


class Nodes(Executor):
    """Simulated nodes; measures their processor time separately."""

    def __init__(self, nets: Mapping[str, Any], count: int) -> None:
        self._nets, self._count = nets, count
        self._begun = time.process_time()
        self._own, self._sent = 0.0, 0  # seconds of the nodes, and what they sent
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        return self._count

    @property
    def capacity(self) -> int:
        return self._count

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "measure":
            self.say("training")
            follow(self._timed(self._measured(job, listener)), job, listener)
        else:
            follow(receive(self._timed(self._trained(job)), job), job, listener)

    def say(self, part: str) -> None:
        """Print the costs of a part, which ends now."""
        now = time.process_time()
        seconds, sent = now - self._begun - self._own, self._sent
        each = f"; {1e6 * seconds / max(1, sent):.0f} us for each of {sent:,} events and files"
        peak = peak_memory() / 1e6
        text = f"{part:9} {seconds:7.1f} s of processor time, {peak:.0f} MB at most"
        print(text + (each if sent else ""), file=OUT, flush=True)
        self._begun, self._own, self._sent = now, 0.0, 0
        reset_peak()  # elsewhere than on Linux, the peak is that of all parts so far

    def _timed(self, made: Iterator[Any]) -> Iterator[Any]:
        """Yield what a node sends, and measure the time to make it."""
        while True:
            begun = time.thread_time()
            one = next(made, None)
            with self._lock:
                self._own += time.thread_time() - begun
                self._sent += one is not None
            if one is None:
                return
            yield one

    def _trained(self, job: Job) -> Iterator[Sent]:
        yield Waiting("starting on a node")
        for trial in job.trials:
            net = self._nets[trial.backbone]
            for stage in STAGES:
                for step in range(STEPS):
                    yield StageProgress(trial, stage, step + 1, STEPS)
            record = synthetic.make_record(net, trial, job.protocol)
            for phase in record.phases:
                for number, epoch in enumerate(phase.epochs, 1):
                    yield StageProgress(trial, phase.name, number, len(phase.epochs), "phase")
                    yield EpochEnded(trial, phase.name, len(phase.epochs), number, epoch)
            arrays = _file(f"arrays/{trial.key}.npz", _packed(trial.key, net, job))
            yield arrays
            yield _file(f"weights/{trial.key}.npz", bytes(WEIGHTS_BYTES))
            yield RecordMade(replace(record, runtimes=(), arrays_sha256=arrays.sha256))
        yield _file(f"logs/{job.trials[0].key}.log", b"nothing happened\n")
        yield Ended()

    def _measured(self, job: Job, recorder: Any) -> Iterator[Any]:
        seconds, count = job.measuring.latency_seconds, len(job.trials)
        session = Session("2999-01-01T12:00:00+00:00", (), 1, 4, 1e11, (0.05, 0.05), seconds)
        for number, trial in enumerate(job.trials):
            yield StageProgress(trial, "timing in turns keras", number, count, "measuring")
            record = recorder.records[trial.key]
            result = RuntimeResult("keras", (1,), session=session)
            yield RecordMeasured(replace(record, runtimes=(result,), session=session))
        yield Ended()


def _file(path: str, content: bytes) -> SentFile:
    return SentFile(path, hashlib.sha256(content).hexdigest(), content)


def _packed(key: str, net: Any, job: Job) -> bytes:
    """Return the file of a trial's arrays as a worker writes it, with timing durations."""
    seed = next(trial.seed for trial in job.trials if trial.key == key)
    arrays = synthetic.make_arrays(net, job.dataset, seed, queries=100)
    file = io.BytesIO()
    np.savez_compressed(file, trial=np.array(key), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
