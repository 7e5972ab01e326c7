"""Which records one model is timed for: the seeds of a backbone share its figures."""

from __future__ import annotations

from collections.abc import Sequence

from bench.inference.measuring.needed import runtimes_needed
from bench.inference.measuring.recorded import stands_in
from bench.storage.records import Run
from bench.storage.trained import weights_path
from bench.training.job import Job
from bench.types import Record

Group = tuple[list[Record], tuple[str, ...]]
"""Records of one backbone, first the one whose model is timed; and the runtimes that it needs."""


def groups_of(run: Run, job: Job, names: Sequence[str]) -> list[Group]:
    """Group the job's trials of which some of the runtimes in `names` are still to be timed."""
    keys, seconds = {trial.key for trial in job.trials}, job.measuring.latency_seconds
    waiting: dict[tuple[str, int], list[Record]] = {}
    for record in run.records:
        if record.trial.key in keys and runtimes_needed(record, names, seconds):
            place = (record.trial.backbone, record.trial.input_size)
            waiting.setdefault(place, []).append(record)
    found = []
    for records in waiting.values():
        # The one whose weights are there; of several, the one that was timed before.
        records.sort(
            key=lambda r: (not weights_path(run.folder, r.trial.key).is_file(), stands_in(r))
        )
        first = records[0]
        needed = {name for r in records for name in runtimes_needed(r, names, seconds)}
        # Another model than the one timed before: its figures must not be mixed with those.
        needs = names if stands_in(first) else [name for name in names if name in needed]
        needs = [name for name in needs if name not in job.died.get(first.trial.key, ())]
        if needs and weights_path(run.folder, first.trial.key).is_file():
            found.append((records, tuple(needs)))
    return found
