"""Registered executors: one in a new file runs a plan, and one with a missing package says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plans import REQUEST, execute, plan, silent

from bench.errors import (
    NodeLostError,
    OutOfMemoryError,
    UnknownNameError,
    UsageError,
    WorkerDiedError,
)
from bench.execution import executors
from bench.execution.executors import (
    EXECUTORS,
    ExecutorKind,
    Resources,
    follow,
    make_executor,
)
from bench.execution.request import RunRequest
from bench.execution.run_meta import RunInputs
from bench.registry import import_modules
from bench.storage.cache import Store
from bench.storage.records import SCHEMA
from bench.training.events import (
    Ended,
    Event,
    Note,
    RecordMade,
    StageProgress,
    Waiting,
    decode,
    encode,
)
from bench.training.job import Job
from bench.types import Record, Settings

DUMMY = """
from bench.execution.executors import EXECUTORS, Executor, ExecutorKind
from bench.storage.records import SCHEMA
from bench.training.events import RecordMade
from bench.types import Record


class Dummy(Executor):
    def run(self, job, listener):
        for trial in job.trials:
            listener(RecordMade(Record(SCHEMA, trial, "failed", "by the dummy")))


EXECUTORS.add(ExecutorKind("dummy", "for a test", lambda settings, request: Dummy()))
"""


@pytest.fixture
def dummy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a file with an executor where executors are searched."""
    (tmp_path / "dummy.py").write_text(DUMMY)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path)])
    import_modules(executors.__name__)
    yield
    EXECUTORS.remove("dummy")
    del sys.modules[f"{executors.__name__}.dummy"]


@pytest.mark.usefixtures("dummy")
def test_an_executor_in_a_new_file_is_found_and_runs_a_plan(tmp_path: Path, store: Store) -> None:
    assert {"dummy", "inline", "local"} <= set(EXECUTORS.names)
    executor = make_executor(Settings(), RunRequest(on="dummy"))
    records = execute(RunInputs(plan("a", "b"), tmp_path / "r", REQUEST, store), executor, silent)
    assert [record.reason for record in records] == ["by the dummy"] * 2


def test_the_error_for_a_missing_package_names_the_extra() -> None:
    kind = ExecutorKind(
        "far", "elsewhere", lambda *_: pytest.fail("made"), ("no_such_one",), "far[all]"
    )
    EXECUTORS.add(kind)
    try:
        with pytest.raises(
            UsageError, match=r"needs no_such_one; install it with `pip install .*far\[all\]'`"
        ):
            make_executor(Settings(), RunRequest(on="far"))
    finally:
        EXECUTORS.remove("far")
    with pytest.raises(UnknownNameError, match="Did you mean 'local'"):
        make_executor(Settings(), RunRequest(on="locl"))


@pytest.mark.parametrize(
    ("text", "cpus", "gpus"),
    [("", 0, 0.0), ("cpus=4", 4, 0.0), ("gpus=0.5", 0, 0.5), ("cpus=4, gpus=1", 4, 1.0)],
)
def test_per_trial_is_parsed(text: str, cpus: int, gpus: float) -> None:
    assert Resources.parse(text) == Resources(cpus, gpus)


@pytest.mark.parametrize(
    "text", ["4", "cpus", "cpus=", "cpus=0.5", "cpus=-1", "cpus=nan", "gpus=inf", "tpus=1", "a=b=c"]
)
def test_invalid_per_trial_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--per-trial '{text}' is not understood"):
        Resources.parse(text)


def test_local_executors_refuse_cluster_options() -> None:
    with pytest.raises(UsageError, match=r"executor local takes no address; got --on local:x\."):
        make_executor(Settings(), RunRequest(on="local:x"))
    with pytest.raises(UsageError, match=r"inline takes no --per-trial and no --ship-data; got"):
        make_executor(Settings(), RunRequest(on="inline", per_trial="cpus=1", ship_data=True))
    with pytest.raises(UsageError, match=r"ray takes no --site and no --detach; got --on ray\."):
        make_executor(Settings(), RunRequest(on="ray", site=Path("x"), detach=True))
    with pytest.raises(UsageError, match=r"slurm takes no --measure-on; got --on slurm\."):
        make_executor(Settings(), RunRequest(on="slurm", measure_on="node"))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    p = plan("one", seeds=(0, 1))
    return Job(p.trials, p.protocol, p.dataset, None, str(tmp_path / "r"), "cache", 10**9)


def test_events_round_trip_as_lines_and_a_record_is_encoded_once(job: Job) -> None:
    record = Record(SCHEMA, job.trials[0], "ok", notes=("a\u2028b", "\udcff"))
    events: list[Event] = [
        StageProgress(job.trials[0], "head", 1, 2, "phase"),
        Note("two\nlines"),
        Waiting("for a lock"),
        Ended(-9, True, "killed"),
    ]
    assert [decode(encode(event)) for event in events] == events
    made = decode(encode(RecordMade(record)))
    assert isinstance(made, RecordMade)
    assert made.record == record
    assert encode(made) == encode(RecordMade(record))
    assert encode(RecordMade(record, "as it is")) == "RecordMade as it is"
    for cut in range(len(encode(made)) - 1):
        with pytest.raises(ValueError, match=r"not an event|line 1|nterminated|Expecting|Extra"):
            decode(encode(made)[:cut])


def test_an_incomplete_stream_raises_the_reason_of_its_end(job: Job) -> None:
    told: list[Event] = []
    first, second = (RecordMade(Record(SCHEMA, trial, "ok")) for trial in job.trials)
    follow([first, Waiting("for a lock"), second, Ended()], job, told.append)
    # What waits is the first trial without a record.
    assert told == [first, StageProgress(job.trials[1], "for a lock"), second]
    with pytest.raises(WorkerDiedError, match="killed") as died:
        follow([first, Ended(-11, False, "killed")], job, told.append)
    assert not isinstance(died.value, OutOfMemoryError)
    with pytest.raises(OutOfMemoryError, match="no room"):
        follow([Ended(0, True, "no room")], job, told.append)
    with pytest.raises(NodeLostError, match="stopped before its end"):
        follow([first], job, told.append)
    # All is there: how the process left is nobody's concern.
    follow([first, second, Ended(-9, True, "killed")], job, told.append)
