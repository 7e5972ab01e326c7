"""Evaluations of finished trials other than timing: predictions for corrupted images, probes,
weight soups of a backbone's seeds, and explanations of mistakes (`explained.py`).

Each evaluation writes arrays and yields the changed record, which the caller announces. Predictions
for corrupted images need the trained weights; a trial of the current command made them when it was
trained. Probes need only the pretrained network, and the features that training cached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.analysis.metrics.base import METRICS
from bench.data import pixels
from bench.errors import BenchError
from bench.inference.measuring.explained import explain, pending_explanations
from bench.inference.measuring.pending import (
    group_by_backbone,
    probes_needed,
    robustness_needed,
    soup_candidates,
    soup_needed,
)
from bench.inference.measuring.recorded import with_arrays, with_seconds
from bench.models.backends.base import Array, current_backend
from bench.models.network import build_head, snapshot
from bench.models.rebuild import TrainedModel, assign_weights, build_pretrained, rebuild
from bench.storage.arrays import TrainedWeights, average_weights, read_trained, weights_path
from bench.storage.cache import Store
from bench.storage.records import SOUP_PREFIX, StoredRun
from bench.training import probes, robustness
from bench.training.augment import PLAIN
from bench.training.features import FrozenFeatures, OnRows
from bench.training.job import Job
from bench.training.losses import logits_to_probabilities
from bench.training.prepared import phase_cuts
from bench.training.rows import Rows, predict, stratified_sample
from bench.types import SPLITS, Ingredient, Probes, Record, Soup, SplitName

# Estimated seconds, for the progress display.
CORRUPTED_SECONDS = 30.0  # of one trained model
PROBES_SECONDS = 10.0  # of one backbone
EXPLAINED_SECONDS = 6.0  # of the mistakes of one model
SOUP_SECONDS = 6.0  # of the seeds of one backbone
SOUP_SPLITS: tuple[SplitName, ...] = ("validation", "test")  # that a soup predicts

Compute = Callable[[StoredRun, Sequence[Record], Job, Store, OnRows], Iterator[Record]]


@dataclass(frozen=True)
class Evaluation:
    """A computation for one trial, or for all seeds of a backbone."""

    title: str
    records: Sequence[Record]
    seconds: float  # estimated
    compute: Compute


def evaluations(
    run: StoredRun, job: Job, rebuilt: MutableMapping[str, TrainedModel]
) -> list[Evaluation]:
    """Return the missing evaluations of the job's trials.

    Explanations take the models that are in `rebuilt`, by key of their trials, when they run.
    """
    keys = {trial.key for trial in job.trials}
    records = [record for record in run.records if record.trial.key in keys]
    found = [
        Evaluation("corrupted test images", (record,), CORRUPTED_SECONDS, evaluate_corrupted)
        for record in records
        if robustness_needed(record, job.measuring)
        and weights_path(run.folder, record.trial.key).is_file()
    ]
    found += [
        Evaluation("probes of the frozen features", of_one, PROBES_SECONDS, fit_probes)
        for of_one in group_by_backbone(r for r in records if probes_needed(r, job.measuring))
    ]
    found += [
        Evaluation("weight soup", of_one, SOUP_SECONDS, make_soup)
        for of_one in (group_by_backbone(run.records) if job.measuring.soups else ())
        if not keys.isdisjoint(record.trial.key for record in of_one)
        and soup_needed(soup_candidates(of_one, run.folder), of_one)
    ]
    return found + [
        Evaluation("heatmaps", (record,), EXPLAINED_SECONDS, partial(explain, mistakes, rebuilt))
        for record, mistakes in (pending_explanations(run, job) if job.measuring.heatmaps else ())
    ]


def evaluate_corrupted(
    run: StoredRun, records: Sequence[Record], job: Job, store: Store, progress: OnRows
) -> Iterator[Record]:
    """Rebuild a trial's model from its kept weights; add its predictions for corrupted images."""
    begun = time.perf_counter()
    (record,) = records
    backend = current_backend()
    model = rebuild(run, record)
    forward = backend.forward(model.logits(fold=True))

    def predict_rows(rows: Rows) -> Array:
        return logits_to_probabilities(predict(forward, rows))

    images = pixels.get_entry(job.dataset, "test", record.trial.input_size, store).array()
    labels = pixels.labels(job.dataset, "test")
    record = with_arrays(
        run, record, robustness.predict_corrupted(images, labels, predict_rows, progress)
    )
    yield with_seconds(record, "robustness", time.perf_counter() - begun)


def fit_probes(
    run: StoredRun, records: Sequence[Record], job: Job, store: Store, progress: OnRows
) -> Iterator[Record]:
    """Fit the probes of a backbone and add their predictions to the records of its seeds.

    Seeds trained on the same images share the probes.
    """
    begun = time.perf_counter()
    labels = {split: pixels.labels(job.dataset, split) for split in SPLITS}
    features = _features(run, records[0], job, store, progress)
    shared = time.perf_counter() - begun
    fitted: dict[bytes, tuple[Probes, Mapping[str, Array], float]] = {}
    for number, record in enumerate(records):
        chosen = stratified_sample(labels["train"], record.trial.fraction, record.trial.seed)
        again = chosen.tobytes() in fitted
        if not again:
            begun = time.perf_counter()
            measured = probes.fit_and_predict(
                features | {"train": features["train"][chosen]},
                labels | {"train": labels["train"][chosen]},
                len(job.dataset.classes),
            )
            fitted[chosen.tobytes()] = (*measured, time.perf_counter() - begun)
        found, arrays, seconds = fitted[chosen.tobytes()]
        record = replace(with_arrays(run, record, arrays), probes=found)
        reused = shared * (number > 0) + seconds * again
        yield with_seconds(record, "probes", shared + seconds, reused)


def _features(
    run: StoredRun, record: Record, job: Job, store: Store, progress: OnRows
) -> dict[SplitName, Array]:
    """Return the pooled features of the pretrained network by split, cached or computed."""
    frozen = FrozenFeatures.of_record(build_pretrained(run, record), record, job.dataset, store)
    return {split: frozen.pooled(split, progress) for split in SPLITS}


def make_soup(
    run: StoredRun, records: Sequence[Record], job: Job, store: Store, progress: OnRows
) -> Iterator[Record]:
    """Average the weights of a backbone's seeds into a soup, and add it to one of their records.

    It is the record that has the previous soup, or else that of the best seed. The soup is greedy,
    after Wortsman et al., "Model soups" (2022): the seeds come in the order of their validation
    accuracy, and each is included if the validation accuracy does not fall. Only the final soup
    predicts the test images.
    """
    begun = time.perf_counter()
    ordered = _by_accuracy(run, soup_candidates(records, run.folder))
    model = _AveragedModel(run, ordered[0][0], job, store, progress)
    labels = pixels.labels(job.dataset, "validation")
    taken: list[TrainedWeights] = []
    tried: list[Ingredient] = []
    highest, validation = 0.0, None
    for record, accuracy in ordered:
        both = [*taken, read_trained(run.folder, record.trial.key)]
        found = None
        if taken:
            found = model.probabilities("validation", both)
            accuracy = float((found.argmax(axis=1) == labels).mean())
        take = accuracy >= highest
        tried.append(Ingredient(record.trial.seed, record.finished, accuracy, take))
        if take:
            highest, validation, taken = accuracy, found, both
    arrays = {}
    if validation is not None:  # several seeds are included
        both_splits = {"validation": validation, "test": model.probabilities("test", taken)}
        arrays = {f"{SOUP_PREFIX}{split}_probabilities": p for split, p in both_splits.items()}
    holder = next((record for record in records if record.soup is not None), ordered[0][0])
    with_soup = replace(with_arrays(run, holder, arrays), soup=Soup(tuple(tried)))
    yield with_seconds(with_soup, "soup", time.perf_counter() - begun)


def _by_accuracy(run: StoredRun, records: Sequence[Record]) -> list[tuple[Record, float]]:
    """Return the trials with their validation accuracies, the highest first; ties keep the order
    of `records`."""
    found = []
    for record in records:
        evidence = run.evidence_of(record)
        if (accuracy := METRICS["val_accuracy"].compute(evidence)) is None:
            raise BenchError(f"seed {record.trial.seed} has no usable validation predictions")
        found.append((record, accuracy))
    return sorted(found, key=lambda one: -one[1])


class _AveragedModel:
    """The network of a backbone's trials after the frozen part, to predict with averaged weights.

    The frozen part is computed once, or comes from the cache that training filled.
    """

    def __init__(
        self, run: StoredRun, record: Record, job: Job, store: Store, progress: OnRows
    ) -> None:
        self.record, self.network = record, build_pretrained(run, record)
        protocol, backend = job.protocol, current_backend()
        classes = len(job.dataset.classes)
        self.head = build_head(protocol.head, self.network.features_shape, classes)
        self.before = snapshot(self.network.base.weights)
        frozen = FrozenFeatures.of_record(self.network, record, job.dataset, store)
        cut = phase_cuts(self.network, protocol.phases)[-1]
        self.rows = {
            split: frozen.rows(split, PLAIN, [cut], progress)[cut] for split in SOUP_SPLITS
        }
        tail = self.network.tail(cut, self.head, protocol.phases[-1], fold=True)
        self.forward = backend.forward(tail)

    def probabilities(self, split: SplitName, trained: Sequence[TrainedWeights]) -> Array:
        """Return the class probabilities for a split, with the mean of the given weights."""
        mean = average_weights(self.before, trained)
        assign_weights(self.network.base, self.head, mean, self.record)
        return logits_to_probabilities(predict(self.forward, self.rows[split]))
