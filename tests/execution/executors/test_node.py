"""`serve` and `receive` of a job on another machine, without a cluster."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import workbench
from plans import plan

from bench.data.pixels import is_stored
from bench.errors import BenchError, DatasetError, NodeLostError, WorkerDiedError
from bench.execution.executors import node
from bench.execution.executors.node import Order, SentFile, check_versions, receive, serve
from bench.models.weights import LocatedWeights
from bench.storage.cache import Store
from bench.storage.records import SCHEMA
from bench.system.files import write_atomic
from bench.training.events import Ended, Event, Note, RecordMade, RecordMeasured, Waiting
from bench.training.job import ImagesFrom, Job
from bench.types import Record


@pytest.fixture
def job(tmp_path: Path) -> Job:
    p = plan("one")
    return Job(
        p.trials, p.protocol, p.dataset, None, str(tmp_path / "r"), str(tmp_path / "cache"), 10**9
    )


def sent(path: str, content: bytes = b"content") -> SentFile:
    return SentFile(path, hashlib.sha256(content).hexdigest(), content)


def test_receive_writes_files_and_yields_events(job: Job) -> None:
    key = job.trials[0].key
    names = [f"arrays/{key}.npz", f"weights/{key}.npz", "logs/one.log"]
    assert list(receive([*map(sent, names), Note("a")], job)) == [Note("a")]
    assert {(Path(job.folder) / name).read_bytes() for name in names} == {b"content"}
    list(receive([sent("logs/one.log", b", more")], job))
    assert (Path(job.folder) / "logs" / "one.log").read_bytes() == b"content, more"


def test_a_measuring_job_may_replace_existing_arrays_only(job: Job) -> None:
    path = Path(job.folder) / "arrays" / "other.npz"
    write_atomic(path, b"before")
    list(receive([sent("arrays/other.npz")], replace(job, task="measure")))
    assert path.read_bytes() == b"content"
    with pytest.raises(WorkerDiedError, match="does not belong to the job"):
        list(receive([sent("arrays/another.npz")], replace(job, task="measure")))


@pytest.mark.parametrize(
    "path",
    [
        "records.jsonl",
        "/etc/passwd",
        "arrays/../records.jsonl",
        "arrays/other.npz",
        "logs/../records.log",
        "logs/.hidden/x.log",
        "logs/run.json",
        "models/KEY.npz",
        "",
    ],
)
def test_a_file_that_does_not_belong_to_the_job_is_refused(
    path: str, job: Job, tmp_path: Path
) -> None:
    with pytest.raises(WorkerDiedError, match="does not belong to the job") as refused:
        list(receive([sent(path.replace("KEY", job.trials[0].key))], job))
    assert not isinstance(refused.value, NodeLostError)  # it would only come again
    assert not list(tmp_path.rglob("*"))


def test_a_damaged_file_is_not_written(job: Job, tmp_path: Path) -> None:
    file = replace(sent("logs/one.log"), content=b"other")
    with pytest.raises(NodeLostError, match=r"logs/one\.log arrived damaged"):
        list(receive([file], job))
    assert not list(tmp_path.rglob("*.log"))


def test_versions_must_match_except_an_unknown_commit() -> None:
    asked = {"backbone-bench": "1", "commit": "abc", "keras": "3"}
    check_versions(asked, asked)
    check_versions(asked, asked | {"commit": ""})
    check_versions(asked | {"commit": ""}, asked)
    check_versions(asked, asked | {"another": "1"})
    with pytest.raises(BenchError, match="keras 4 instead of 3; install"):
        check_versions(asked, asked | {"keras": "4"})
    with pytest.raises(BenchError, match="commit abd instead of abc;"):
        check_versions(asked, asked | {"commit": "abd"})
    with pytest.raises(BenchError, match="keras none instead of 3;"):
        check_versions(asked, {"backbone-bench": "1", "commit": "abc"})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("versions", "other versions than here: keras"),
        ("weights", "pretrained/x.h5 arrived damaged."),
    ],
)
def test_a_node_reports_why_it_cannot_run_a_job(
    wrong: str, says: str, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_kept", None)
    for name in node.FORWARDED:
        monkeypatch.setenv(name, os.environ.get(name, ""))  # which the order sets: put back later
        monkeypatch.delenv(name)
    monkeypatch.setenv(node.GPUS, "0")
    located = LocatedWeights("imagenet", "/there/x.h5", "x.h5", "0" * 64)
    monkeypatch.setenv("XLA_FLAGS", "--xla_of=the_command")
    order = Order(replace(job, weights=located), 1, 0.0, None)
    monkeypatch.setenv("XLA_FLAGS", "--xla_of=the_node")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ray sets it
    monkeypatch.setenv("SITE", "the node's")
    if wrong == "versions":
        order = replace(order, versions=dict(order.versions) | {"keras": "9.9"})
    waiting, end = serve(order, lambda sha256: b"not these")
    node.close_kept_executor()
    assert waiting == Waiting(f"starting on {os.uname().nodename}")
    assert isinstance(end, Ended)
    assert (end.code, end.lost) == (1, wrong == "weights")  # another node may get them
    assert end.message.startswith(f"node {os.uname().nodename}: {says}")
    # Figures depend on the variables of the command alone; no GPU was granted.
    assert os.environ["XLA_FLAGS"] == "--xla_of=the_command"
    assert "OMP_NUM_THREADS" not in os.environ
    assert (os.environ["SITE"], os.environ[node.GPUS]) == ("the node's", "")


def test_files_come_before_the_event_that_needs_them(job: Job, tmp_path: Path) -> None:
    trial = job.trials[0]
    for name in (f"arrays/{trial.key}.npz", "arrays/other.npz", "logs/one.log"):
        write_atomic(tmp_path / name, b"content")
    record = Record(SCHEMA, trial, "ok", environment={"cores": 1}, notes=("a",))
    events: list[Event] = [RecordMade(record, "as it was encoded"), Ended()]
    first, made, log, end = node._with_files(events, tmp_path, "n1", ("its cores were shared",))
    assert first == sent(f"arrays/{trial.key}.npz")
    assert log == sent("logs/one.log")
    assert end == Ended()
    # The node is in the record as it will be written.
    notes = ("a", "its cores were shared")
    assert made == RecordMade(replace(record, environment={"cores": 1, "node": "n1"}, notes=notes))


def test_measuring_sends_arrays_but_no_weights(job: Job, tmp_path: Path) -> None:
    trial = job.trials[0]
    for kind in ("arrays", "weights"):
        write_atomic(tmp_path / kind / f"{trial.key}.npz", b"content")
    event = RecordMeasured(Record(SCHEMA, trial, "ok", environment={"node": "that trained"}))
    arrays, same = node._with_files([event], tmp_path, "n1", ("its cores were shared",))
    assert arrays == sent(f"arrays/{trial.key}.npz")
    assert same is event


def test_a_node_decodes_missing_images_into_its_cache(tmp_path: Path, job: Job) -> None:
    folder, there = tmp_path / "data", Store(tmp_path / "there")
    dataset = workbench.make_dataset(folder, Store(tmp_path / "here"))
    trials = (replace(job.trials[0], input_size=tiny.SIZE),)
    job = replace(job, dataset=dataset, trials=trials, images=ImagesFrom(str(folder)))
    node._restore_images(job, there)
    assert all(is_stored(dataset, tiny.SIZE, store) for store in (there, Store(tmp_path / "here")))
    next(folder.rglob("*.png")).unlink()
    node._restore_images(job, there)  # they need not be read again
    with pytest.raises(DatasetError, match="have changed since the run began"):
        node._restore_images(job, Store(tmp_path / "another"))
