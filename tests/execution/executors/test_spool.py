"""A job's folder on a shared disk: one side reads completely and in order what the other writes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from plans import plan

from bench.errors import BenchError, NodeLostError
from bench.execution.executors.contents import Offer
from bench.execution.executors.node import Order, SentFile
from bench.execution.executors.spool import (
    JobState,
    Spool,
    find_earlier,
    job_states,
    put_content,
    remove_unused_contents,
)
from bench.models.weights import LocatedWeights
from bench.storage.records import SCHEMA, write_dataset
from bench.storage.run_folder import prepare_run_folder
from bench.training.events import Ended, Note, RecordMade, StageProgress
from bench.training.job import Job
from bench.types import Record

PRETRAINED = b"pretrained"
FILE = SentFile("arrays/k.npz", hashlib.sha256(b"content").hexdigest(), b"content")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    p = plan("one", seeds=(0, 1))
    folder, weights = tmp_path / "r", tmp_path / "w.h5"
    folder.mkdir()
    weights.write_bytes(PRETRAINED)
    write_dataset(folder, p.dataset)
    located = LocatedWeights(
        "imagenet", str(weights), "w.h5", hashlib.sha256(PRETRAINED).hexdigest()
    )
    places = (str(folder), str(tmp_path / "c"), 10**9)
    return Job(p.trials, p.protocol, p.dataset, located, *places, accumulation=4)


@pytest.fixture
def spool(job: Job) -> Spool:
    return Spool.create(Order(job, 2, 0.0, None), "slurm")


def test_the_order_arrives_with_its_data_set_and_weights(spool: Spool, job: Job) -> None:
    order = spool.remaining_order()
    assert (order.job, order.cores) == (job, 2)
    assert not spool.order().job.dataset.splits  # it is in the run's folder, once
    offer = Offer(partial(put_content, Path(job.folder)))
    offer.offer_weights(job.weights)
    assert order.job.weights is not None
    assert spool.fetch(order.job.weights.sha256) == PRETRAINED


def test_what_the_node_writes_is_read_once_in_order(spool: Spool, job: Job) -> None:
    record = RecordMade(Record(SCHEMA, job.trials[0], "ok", notes=("a\u2028b",)))
    node, driver = Spool(spool.folder), Spool(spool.folder)
    assert list(driver.read_new()) == []
    node.write(FILE)
    node.write(record)
    first, second = driver.read_new()
    assert (first, type(second)) == (FILE, RecordMade)
    assert isinstance(second, RecordMade)
    assert second.record == record.record
    node.write(Ended(1, message="a\nb"))
    assert list(driver.read_new()) == [Ended(1, message="a\nb")]
    assert list(driver.read_new()) == []


def test_incomplete_lines_are_not_read(spool: Spool) -> None:
    events = spool.folder / "events"
    spool.write(Note("a"))
    whole = events.read_bytes()
    for length in range(len(whole)):
        events.write_bytes(whole[:length])
        assert list(Spool(spool.folder).read_new()) == []
    driver = Spool(spool.folder)
    assert list(driver.read_new()) == []
    events.write_bytes(whole)
    assert list(driver.read_new()) == [Note("a")]


def test_a_missing_file_counts_as_a_lost_node(spool: Spool) -> None:
    spool.write(FILE)
    (spool.folder / "files" / FILE.sha256).unlink()
    with pytest.raises(NodeLostError, match=r"arrays/k\.npz did not arrive"):
        list(spool.read_new())


def test_progress_is_written_once_a_second(
    spool: Spool, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for step in range(5):
        now += 0.5
        spool.write(StageProgress(job.trials[0], "head", step, 5))
    assert [event.done for event in spool.read_new()] == [0, 2, 4]  # type: ignore[union-attr]


def test_a_restarted_job_runs_its_remaining_trials(spool: Spool, job: Job) -> None:
    spool.write(RecordMade(Record(SCHEMA, job.trials[0], "ok")))
    with (spool.folder / "events").open("a") as file:
        file.write("RecordMade {cut o")  # as it was killed
    again = Spool(spool.folder)
    order = again.remaining_order()
    assert [trial.key for trial in order.job.trials] == [job.trials[1].key]
    assert order.job.notes[0] == "submitted again: the cluster started its job again."
    again.write(Ended())
    assert list(Spool(spool.folder).read_new())[1:] == [Ended()]


def test_a_job_ends_when_its_folder_was_removed(spool: Spool, job: Job) -> None:
    spool.remove()
    for sent in (Ended(), FILE):
        with pytest.raises(BenchError, match="no longer wanted"):
            spool.write(sent)
    remove_unused_contents(Path(job.folder))
    assert [path.name for path in Path(job.folder).iterdir()] == ["dataset.json"]


def test_fresh_ends_the_jobs_of_the_earlier_run(spool: Spool, job: Job) -> None:
    run = prepare_run_folder(Path(job.folder).parent, "r", fresh=True)
    assert not run.exists()
    assert (run.parent / "r.1" / "dataset.json").exists()
    assert not (run.parent / "r.1" / "jobs").exists()
    with pytest.raises(BenchError, match="no longer wanted"):
        spool.write(Ended())


def test_jobs_of_earlier_commands_are_found_by_their_trials(spool: Spool, job: Job) -> None:
    seeds = [replace(job, trials=(trial,)) for trial in job.trials]
    (spool.folder / "7_submitted.pkl").touch()
    # It keeps the accumulation that an earlier out-of-memory error led to.
    asked = replace(job, accumulation=1)
    assert [(s.job_id, found) for s, found in find_earlier(asked, "slurm")] == [("7", job)]
    assert [found.trials for _, found in find_earlier(seeds[1], "slurm")] == [(job.trials[1],)]
    first = (spool.folder, job.trials[0].key)  # while another thread reads the rest
    assert [found.trials for _, found in find_earlier(job, "slurm", [first])] == [job.trials[1:]]
    assert not list(find_earlier(job, "local"))
    other = replace(job, trials=tuple(replace(t, key=f"{t.key[:-1]}-") for t in job.trials))
    assert not list(find_earlier(other, "slurm"))
    # The folder of a job that was never submitted is removed.
    (spool.folder / "7_submitted.pkl").unlink()
    assert not list(find_earlier(other, "slurm"))
    assert spool.folder.exists()
    assert not list(find_earlier(job, "slurm"))
    assert not spool.folder.exists()


def test_job_folders_allow_any_backbone_name(job: Job) -> None:
    trials = tuple(replace(trial, backbone="hub:a/b[1]") for trial in job.trials)
    job = replace(job, trials=trials)
    (Spool.create(Order(job, 2, 0.0, None), "slurm").folder / "7_submitted.pkl").touch()
    assert [found for _, found in find_earlier(job, "slurm")] == [job]
    assert job_states(Path(job.folder))[0].backbone == "hub:a/b[1]"


def test_job_states_follow_the_events(spool: Spool, job: Job) -> None:
    run = Path(job.folder)
    (spool.folder / "7_submitted.pkl").touch()

    def state() -> JobState:
        (found,) = job_states(run)
        return found

    assert state() == JobState("7", "one", "waiting", trials=2, done=0)
    spool.write(RecordMade(Record(SCHEMA, job.trials[0], "ok")))
    assert state() == JobState("7", "one", "running", trials=2, done=1)
    spool.write(Ended())
    assert state() == JobState("7", "one", "ended", trials=2, done=1)
    (spool.folder / "job.json").write_text("{}")
    assert job_states(run) == ()
    assert job_states(run / "none") == ()
