"""The metrics and the label of each trial, and which trials may be ranked together.

Trials with the same label are averaged and plotted together, so labels separate what must not be
mixed: random from pretrained weights, and one input size from another. Trials are ranked together
only if they share dataset, protocol, precision, threads and test images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from bench.analysis.explanations import Explanations, explanations
from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.calibration import scaled_bin_sums
from bench.analysis.metrics.classification import (
    Counts,
    Floats,
    Predictions,
    labels_and_probabilities,
    predictions,
)
from bench.analysis.metrics.latency import durations, throughput_by_batch
from bench.analysis.metrics.phases import correct_after_phases
from bench.analysis.metrics.probes import ProbeResult, probe_results
from bench.analysis.metrics.robustness import Robustness, robustness
from bench.analysis.runtimes import RuntimeFigures, runtime_figures
from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.storage.records import StoredRun
from bench.system.files import fields_of
from bench.training.losses import true_class_probabilities
from bench.types import RANDOM_INIT, Record, at_size

MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Score:
    """The metrics of one trial, and the results from its arrays, which are not kept in memory."""

    record: Record
    label: str
    figures: Floats  # in the order of `METRICS`; NaN: none
    arrays_missing: bool = False  # the trial finished, but all its arrays are missing
    milliseconds: Floats | None = None  # of each timed query of one image
    throughput: Mapping[int, float] = field(default_factory=dict)  # images/s by batch size
    runtimes: tuple[RuntimeFigures, ...] = ()

    @property
    def quartiles(self) -> tuple[float, float, float] | None:
        """Return the quartiles of `milliseconds`; `None` with too few queries."""
        taken = self.milliseconds
        if taken is None or len(taken) < SAMPLES_FOR_PERCENTILE[90]:
            return None
        low, middle, high = np.percentile(taken, [25, 50, 75])
        return float(low), float(middle), float(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender(Score):
    """The score of a trial that may be ranked: pretrained, finished, with test predictions."""

    predictions: Predictions
    scaled_bin_sums: Floats | None  # of the calibration bins, after temperature scaling
    correct_after_phases: NDArray[np.bool_] | None  # phases, test images
    probes: Mapping[str, ProbeResult]
    robustness: Robustness | None
    explanations: Explanations | None
    true_probabilities: Floats | None  # of the true class of each validation image


def score_trials(run: StoredRun) -> tuple[Score, ...]:
    """Compute every metric of every trial on the largest training set.

    Only the arrays of one trial at a time are in memory.
    """
    names, truths = trial_labels(run.records), dict[bytes, Counts]()
    return tuple(_score(run, r, names[r.trial.key], truths) for r in run.records)


def _score(run: StoredRun, record: Record, label: str, truths: dict[bytes, Counts]) -> Score:
    """Score one trial; trials with equal test labels share one array, kept in `truths`."""
    if record.status != "ok":
        return Score(record, label, np.full(len(METRICS.names), np.nan))
    evidence = run.evidence_of(record)
    computed = (
        metric.compute(evidence)
        if record.pretrained or metric.kind != "answers"
        else None  # predictions of random weights are meaningless
        for metric in METRICS
    )
    seconds = durations(evidence, 1)
    found = Score(
        record,
        label,
        np.array(list(computed), np.float64),
        arrays_missing=not evidence.arrays,
        milliseconds=None if seconds is None else 1000 * seconds,
        throughput=throughput_by_batch(evidence),
        runtimes=runtime_figures(label, evidence),
    )
    predicted = predictions(evidence) if record.pretrained else None
    if predicted is None:
        return found
    truth = truths.setdefault(predicted.labels.tobytes(), predicted.labels)
    predicted = replace(predicted, labels=truth)
    validation = labels_and_probabilities(evidence, "validation")
    return Contender(
        **fields_of(found),
        predictions=predicted,
        scaled_bin_sums=scaled_bin_sums(evidence),
        correct_after_phases=correct_after_phases(evidence),
        probes=probe_results(evidence),
        robustness=robustness(evidence),
        explanations=explanations(evidence, predicted),
        true_probabilities=None if validation is None else true_class_probabilities(*validation),
    )


def random_init_label(name: str) -> str:
    """Return the label of a backbone whose weights are random."""
    return f"{name} ({RANDOM_INIT})"


def without_random_init(label: str) -> str:
    """Return the label without the mark of random weights."""
    return label.removesuffix(random_init_label(""))


def trial_labels(records: Sequence[Record]) -> Mapping[str, str]:
    """Return the label of each trial by key; failed trials share the label of finished ones."""
    sizes: dict[str, set[int]] = {}
    succeeded: dict[tuple[str, int], str] = {}
    for record in records:
        sizes.setdefault(record.trial.backbone, set()).add(record.trial.input_size)
    found: dict[str, str] = {}
    for record in records:
        trial = record.trial
        label = trial.name
        if len(sizes[trial.backbone]) > 1:  # also where a plugin's own size was edited
            label = at_size(trial.backbone, trial.input_size)
        if record.weights is not None and not record.weights.pretrained:
            label = random_init_label(label)
        found[trial.key] = label
        if record.status == "ok":
            succeeded.setdefault((trial.backbone, trial.input_size), label)
    for record in records:
        if record.status == "failed":
            where = (record.trial.backbone, record.trial.input_size)
            found[record.trial.key] = succeeded.get(where, found[record.trial.key])
    return found


def compared_trials(scores: Iterable[Score]) -> list[Contender]:
    """Return the contenders with the seeds that every backbone finished; all if there are none."""
    found = contenders(scores)
    shared = shared_seeds(found)
    return [c for c in found if c.record.trial.seed in shared] if shared else found


def contenders(scores: Iterable[Score]) -> list[Contender]:
    """Return the trials that may be ranked, of any seed."""
    return [one for one in scores if isinstance(one, Contender)]


def shared_seeds(found: Sequence[Contender]) -> tuple[int, ...]:
    """Return the seeds that every backbone finished."""
    seeds: dict[str, set[int]] = {}
    for one in found:
        seeds.setdefault(one.label, set()).add(one.record.trial.seed)
    return tuple(sorted(set.intersection(*seeds.values()))) if seeds else ()


def ranking_obstacles(scores: Iterable[Score]) -> list[str]:
    """Describe each field in which the trials differ; empty if they may be ranked together."""
    found = contenders(scores)
    different = []
    for name, value in FIELDS.items():
        holders: dict[str, list[str]] = {}
        for contender in found:
            holders.setdefault(value(contender), []).append(contender.label)
        if len(holders) > 1:
            each = [f"{what} for {_named(who)}" for what, who in holders.items()]
            different.append(f"{name} ({'; '.join(each)})")
    if found and not shared_seeds(found):
        by_seed: dict[int, list[str]] = {}
        for one in found:
            by_seed.setdefault(one.record.trial.seed, []).append(one.label)
        each = [f"{seed} for {_named(by_seed[seed])}" for seed in sorted(by_seed)]
        different.append(f"seed ({'; '.join(each)}: no seed finished for all)")
    return different


def _protocol(contender: Contender) -> str:
    trial = contender.record.trial
    return f"{trial.protocol} {trial.protocol_digest[:8]}"


def _dataset(contender: Contender) -> str:
    trial = contender.record.trial
    return f"{trial.dataset} {trial.dataset_fingerprint[:8]}"


def _test_images(contender: Contender) -> str:
    true = contender.predictions.labels
    return f"{len(true):,} images {sha256(true.tobytes()).hexdigest()[:8]}"


FIELDS: dict[str, Callable[[Contender], str]] = {
    "dataset_fingerprint": _dataset,
    "protocol_digest": _protocol,
    "test_labels": _test_images,
    "precision": lambda c: c.record.trial.settings.precision,
    "threads": lambda c: str(c.record.trial.settings.threads or "as many as cores"),
}


def _named(found: Sequence[str]) -> str:
    names = list(dict.fromkeys(found))
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
