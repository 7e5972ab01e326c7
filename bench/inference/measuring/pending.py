"""What is still to be measured of trained models, how long that takes, and how much of it is done.

Needed is what was asked for and is not in a trial's record, or was timed for another number of
seconds. Seeds of a backbone share the figures of one model. No framework is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.inference.measuring.timing import OVERTIME, SWEEP, SWEEP_SHARE, WARMUP_SHARE
from bench.storage.arrays import sort_best_first, weights_path
from bench.storage.records import StoredRun
from bench.training.events import Listener, StageProgress
from bench.training.job import Job
from bench.types import REFERENCE, Measuring, Record, RuntimeResult, Trial

# Stages that the measuring process reports; the last two continue with a runtime's name.
BUILDING, PREPARING, TIMING = "building for measuring", "preparing ", "timing in turns "
REBUILD_SECONDS = 4.0  # a trained model, with its memory measured
PREPARE_SECONDS = 4.0  # converting, compiling
PROGRESS_PARTS = 1000

Group = tuple[list[Record], tuple[str, ...]]
"""Records of one backbone, first the one whose model is timed; and the runtimes that it needs."""


def by_backbone(records: Iterable[Record]) -> list[list[Record]]:
    """Group the records of one backbone at one input size, its seeds and shares."""
    found: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        found.setdefault((record.trial.backbone, record.trial.input_size), []).append(record)
    return list(found.values())


def runtimes_needed(record: Record, names: Sequence[str], seconds: float) -> tuple[str, ...]:
    """Return which of these runtimes are still to be timed; those that failed are tried again."""
    done = {
        result.name
        for result in record.runtimes
        if result.status == "ok"
        and result.session is not None
        and result.session.latency_seconds == seconds
    }
    return tuple(name for name in names if record.status == "ok" and name not in done)


def robustness_needed(record: Record, asked: Measuring) -> bool:
    """Return whether the trial's model is still to be evaluated on corrupted images."""
    trained = record.status == "ok" and record.pretrained
    return asked.robustness and trained and "robustness" not in record.seconds


def probes_needed(record: Record, asked: Measuring) -> bool:
    """Return whether the probes of the trial's backbone are still to be fitted."""
    trained = record.status == "ok" and record.pretrained
    return asked.probes and trained and record.probes is None


def model_to_explain(records: Iterable[Record], folder: Path) -> Record | None:
    """Return the trial of a backbone whose model explains its mistakes: of those with kept weights
    the one that did before, or else the best. Random weights explain nothing."""
    kept = _kept(records, folder)
    return min(kept, key=lambda record: "heatmaps" not in record.seconds, default=None)


def _kept(records: Iterable[Record], folder: Path) -> list[Record]:
    """Return the pretrained trials whose weights were kept, the best first."""
    best = (record for record in sort_best_first(records) if record.pretrained)
    return [record for record in best if weights_path(folder, record.trial.key).is_file()]


def soup_candidates(records: Iterable[Record], folder: Path) -> list[Record]:
    """Return the trials of a backbone whose weights can be averaged: those that were kept and
    began, like the best, with the same pretrained weights, and had the same images, protocol and
    settings; the best first."""
    kept = _kept(records, folder)
    return [record for record in kept if _begun_as(record) == _begun_as(kept[0])]


def _begun_as(record: Record) -> tuple[object, ...]:
    trial, weights = record.trial, record.weights
    known = trial.dataset_fingerprint, trial.protocol_digest, trial.settings, trial.code
    return (*known, weights and weights.sha256)


def soup_needed(candidates: Sequence[Record], records: Iterable[Record]) -> bool:
    """Return whether there are several candidates, and one that no soup in `records` tried."""
    known = {(one.seed, one.finished) for r in records if r.soup for one in r.soup.tried}
    found = {(record.trial.seed, record.finished) for record in candidates}
    return len(found) > 1 and not found <= known


def with_results(record: Record, new: Iterable[RuntimeResult]) -> tuple[RuntimeResult, ...]:
    """Return the record's results with the new ones in place, the reference first.

    An earlier figure is kept where measuring it again failed.
    """
    found = {result.name: result for result in record.runtimes}
    for result in new:
        earlier = found.get(result.name)
        if result.status == "ok" or earlier is None or earlier.status == "failed":
            found[result.name] = result
    return tuple(sorted(found.values(), key=lambda result: result.name != REFERENCE))


def groups_of(run: StoredRun, job: Job, names: Sequence[str]) -> list[Group]:
    """Group the job's trials for which some of the runtimes in `names` are still to be timed."""
    keys, seconds = {trial.key for trial in job.trials}, job.measuring.latency_seconds
    asked = (record for record in run.records if record.trial.key in keys)
    found = []
    for records in by_backbone(r for r in asked if runtimes_needed(r, names, seconds)):
        # First one whose weights were kept; of several, the one that was timed before.
        records.sort(
            key=lambda r: (not weights_path(run.folder, r.trial.key).is_file(), r.stood_for)
        )
        first = records[0]
        needed = {name for r in records for name in runtimes_needed(r, names, seconds)}
        # A model other than the one timed before is timed anew: their figures must not be mixed.
        needs = names if first.stood_for else [name for name in names if name in needed]
        needs = [name for name in needs if name not in job.died.get(first.trial.key, ())]
        if needs and weights_path(run.folder, first.trial.key).is_file():
            found.append((records, tuple(needs)))
    return found


def measuring_seconds(
    image: float, test_images: int, latency_seconds: float, runtimes: int
) -> float:
    """Estimate the seconds to measure one backbone: rebuild it, and in each runtime prepare it,
    answer the test images and time it."""
    each = PREPARE_SECONDS + image * test_images + timing_seconds(latency_seconds, image)
    return REBUILD_SECONDS + runtimes * each


def timing_seconds(latency_seconds: float, image: float = 0.0) -> float:
    """Estimate the seconds to time one model: single images, for longer where that gives enough
    queries, and larger batches."""
    enough = min(SAMPLES_FOR_PERCENTILE[90] * image, OVERTIME * latency_seconds)
    larger = (len(SWEEP["cpu"]) - 1) * SWEEP_SHARE * latency_seconds
    warming = WARMUP_SHARE * (latency_seconds + larger)
    return warming + max(latency_seconds, enough) + larger


class MeasuringProgress:
    """Reports each step with the share of the whole that is done before it, by estimated time."""

    def __init__(self, listener: Listener, total: float) -> None:
        self._listener, self._total = listener, total
        self._done = 0.0

    def report(self, trial: Trial, text: str, *, within: float = 0.0) -> None:
        """Report what is being done, and how many seconds of it are over."""
        share = min(1.0, (self._done + within) / self._total) if self._total else 1.0
        self._listener(
            StageProgress(trial, text, int(PROGRESS_PARTS * share), PROGRESS_PARTS, "measuring")
        )

    def add(self, seconds: float) -> None:
        """Count a step of so many estimated seconds as done."""
        self._done += seconds
