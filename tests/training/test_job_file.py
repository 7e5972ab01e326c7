"""A job as a file for its worker; the data set is in the run's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from plans import DATASET, PROTOCOL, plan

from bench.errors import BenchError
from bench.storage.records import write_dataset
from bench.training.job import Job, read_job, write_job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(plan("one").trials, PROTOCOL, DATASET, None, str(tmp_path / "r"), "store", 1)


def test_a_job_survives_writing_and_reading(job: Job, tmp_path: Path) -> None:
    write_job(tmp_path / "job.json", job)
    assert read_job(tmp_path / "job.json") == job


def test_the_job_file_does_not_grow_with_the_data_set(job: Job, tmp_path: Path) -> None:
    train = job.dataset.splits["train"]
    ids = tuple(f"train/{n}.jpg" for n in range(10_000))
    many = replace(train, ids=ids, labels=(0, 1) * 5_000, digests=("0" * 64,) * 10_000)
    large = replace(job.dataset, splits={**job.dataset.splits, "train": many})
    write_dataset(Path(job.folder), large)
    write_job(tmp_path / "job.json", replace(job, dataset=large))
    assert (tmp_path / "job.json").stat().st_size < 10_000
    assert read_job(tmp_path / "job.json").dataset == large


def test_a_changed_data_set_in_the_folder_is_an_error(job: Job, tmp_path: Path) -> None:
    write_job(tmp_path / "job.json", job)
    write_dataset(Path(job.folder), replace(job.dataset, fingerprint="0" * 64))
    with pytest.raises(BenchError, match=r"dataset.json is not the data set of this job"):
        read_job(tmp_path / "job.json")
