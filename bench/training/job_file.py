"""A job on disk, as a worker is given it: all but the data set, whose ids and digests may be many
and stand in the run's folder already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError
from bench.storage.records import read_dataset, write_dataset
from bench.system.files import from_json, to_json, write_atomic
from bench.training.job import Job
from bench.types import Dataset

ELSEWHERE = Dataset("", "", (), {}, "")


def write_job(path: Path, job: Job) -> None:
    """Write the job to `path`, and its data set into the job's folder where none is there."""
    folder = Path(job.folder)
    if not (folder / "dataset.json").exists():  # as where a trial is trained again to verify it
        write_dataset(folder, job.dataset)
    write_atomic(path, to_json(replace(job, dataset=ELSEWHERE)))


def read_job(path: Path) -> Job:
    """Read it back; an error where the folder's data set is another by now."""
    job = from_json(path.read_text(encoding="utf-8"), Job)
    dataset = read_dataset(Path(job.folder))
    if dataset.fingerprint != job.trials[0].dataset_fingerprint:
        raise BenchError(
            f"{job.folder}/dataset.json is not what the trial is to be trained on; somebody "
            "changed it meanwhile."
        )
    return replace(job, dataset=dataset)
