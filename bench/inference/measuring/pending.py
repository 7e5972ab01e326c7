"""Measurements of trained models that are still missing, their estimated time, and progress.

A measurement is missing if it was requested and is not in the trial's record, or if it was timed
for another number of seconds. Seeds of a backbone share the figures of one model. No framework is
imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.inference.measuring.timing import BATCH_SIZES, LARGE_BATCH_SHARE, OVERTIME, WARMUP_SHARE
from bench.storage.arrays import sort_best_first, weights_path
from bench.storage.records import StoredRun
from bench.training.events import Listener, StageProgress
from bench.training.job import Job
from bench.types import REFERENCE, Measuring, Record, RuntimeResult, Trial

# Stages that the measuring process reports; a runtime's name follows the last two.
BUILDING, PREPARING, TIMING = "building for measuring", "preparing ", "timing in turns "
REBUILD_SECONDS = 4.0  # to rebuild a trained model, and measure its memory
PREPARE_SECONDS = 4.0  # to convert and compile a model for one runtime
PROGRESS_PARTS = 1000

Group = tuple[list[Record], tuple[str, ...]]
"""Records of one backbone, first that of the model to time; and the names of missing runtimes."""


def group_by_backbone(records: Iterable[Record]) -> list[list[Record]]:
    """Group records by backbone and input size; a group has all seeds and fractions."""
    found: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        found.setdefault((record.trial.backbone, record.trial.input_size), []).append(record)
    return list(found.values())


def runtimes_needed(record: Record, names: Sequence[str], seconds: float) -> tuple[str, ...]:
    """Return which of the runtimes in `names` are still to be timed, failed ones among them."""
    done = {
        result.name
        for result in record.runtimes
        if result.status == "ok"
        and result.session is not None
        and result.session.latency_seconds == seconds
    }
    return tuple(name for name in names if record.status == "ok" and name not in done)


def robustness_needed(record: Record, requested: Measuring) -> bool:
    """Return whether the trial's model is still to be evaluated on corrupted images."""
    trained = record.status == "ok" and record.pretrained
    return requested.robustness and trained and "robustness" not in record.seconds


def probes_needed(record: Record, requested: Measuring) -> bool:
    """Return whether the probes of the trial's backbone are still to be fitted."""
    trained = record.status == "ok" and record.pretrained
    return requested.probes and trained and record.probes is None


def model_to_explain(records: Iterable[Record], folder: Path) -> Record | None:
    """Return the trial of a backbone whose model is to explain its mistakes.

    Of the pretrained trials with kept weights, it is the one that explained them before, or else
    the best; `None` if there is no such trial.
    """
    kept = _with_kept_weights(records, folder)
    return min(kept, key=lambda record: "heatmaps" not in record.seconds, default=None)


def _with_kept_weights(records: Iterable[Record], folder: Path) -> list[Record]:
    """Return the pretrained trials whose weights were kept, the best first."""
    best = (record for record in sort_best_first(records) if record.pretrained)
    return [record for record in best if weights_path(folder, record.trial.key).is_file()]


def soup_candidates(records: Iterable[Record], folder: Path) -> list[Record]:
    """Return the trials of a backbone whose weights can be averaged, the best first.

    Their weights were kept, and they have the pretrained weights, images, protocol and settings of
    the best one.
    """
    kept = _with_kept_weights(records, folder)
    return [record for record in kept if _conditions(record) == _conditions(kept[0])]


def _conditions(record: Record) -> tuple[object, ...]:
    """Return what trials must share so that their weights can be averaged."""
    trial, weights = record.trial, record.weights
    shared = trial.dataset_fingerprint, trial.protocol_digest, trial.settings, trial.code
    return (*shared, weights and weights.sha256)


def soup_needed(candidates: Sequence[Record], records: Iterable[Record]) -> bool:
    """Return whether there are several candidates, one of which no soup in `records` has tried."""
    known = {(one.seed, one.finished) for r in records if r.soup for one in r.soup.tried}
    found = {(record.trial.seed, record.finished) for record in candidates}
    return len(found) > 1 and not found <= known


def with_results(record: Record, new: Iterable[RuntimeResult]) -> tuple[RuntimeResult, ...]:
    """Return the record's results updated with new ones, the reference runtime first.

    An earlier result is kept if the new measurement failed.
    """
    found = {result.name: result for result in record.runtimes}
    for result in new:
        earlier = found.get(result.name)
        if result.status == "ok" or earlier is None or earlier.status == "failed":
            found[result.name] = result
    return tuple(sorted(found.values(), key=lambda result: result.name != REFERENCE))


def pending_groups(run: StoredRun, job: Job, names: Sequence[str]) -> list[Group]:
    """Group the job's trials for which runtimes in `names` are still to be timed, by backbone."""
    keys, seconds = {trial.key for trial in job.trials}, job.measuring.latency_seconds
    requested = (record for record in run.records if record.trial.key in keys)
    found = []
    for records in group_by_backbone(r for r in requested if runtimes_needed(r, names, seconds)):
        # First a trial with kept weights; of several, the one that was timed before.
        records.sort(
            key=lambda r: (not weights_path(run.folder, r.trial.key).is_file(), r.stood_for)
        )
        first = records[0]
        needed = {name for r in records for name in runtimes_needed(r, names, seconds)}
        # Another model than the one timed before is timed in all runtimes, so that the figures of
        # two models are not mixed.
        needs = names if first.stood_for else [name for name in names if name in needed]
        needs = [name for name in needs if name not in job.died.get(first.trial.key, ())]
        if needs and weights_path(run.folder, first.trial.key).is_file():
            found.append((records, tuple(needs)))
    return found


def measuring_seconds(
    image: float, test_images: int, latency_seconds: float, runtimes: int
) -> float:
    """Estimate the seconds to rebuild one model, and in each runtime to prepare it, predict the
    test images and time it. `image` is the seconds for one image."""
    each = PREPARE_SECONDS + image * test_images + timing_seconds(latency_seconds, image)
    return REBUILD_SECONDS + runtimes * each


def timing_seconds(latency_seconds: float, image: float = 0.0) -> float:
    """Estimate the seconds to time one model in one runtime, in all batch sizes; `image` is the
    seconds for one image, as slow models take longer for enough queries."""
    enough = min(SAMPLES_FOR_PERCENTILE[90] * image, OVERTIME * latency_seconds)
    larger = (len(BATCH_SIZES["cpu"]) - 1) * LARGE_BATCH_SHARE * latency_seconds
    warming = WARMUP_SHARE * (latency_seconds + larger)
    return warming + max(latency_seconds, enough) + larger


class MeasuringProgress:
    """Reports the steps of measuring, with the fraction done of the total estimated time."""

    def __init__(self, listener: Listener, total: float) -> None:
        self._listener, self._total = listener, total
        self._done = 0.0

    def report(self, trial: Trial, text: str, *, within: float = 0.0) -> None:
        """Report the current step, of which `within` seconds have passed."""
        share = min(1.0, (self._done + within) / self._total) if self._total else 1.0
        self._listener(
            StageProgress(trial, text, int(PROGRESS_PARTS * share), PROGRESS_PARTS, "measuring")
        )

    def add(self, seconds: float) -> None:
        """Count a step as done, by its estimated seconds."""
        self._done += seconds
