"""What finished trials still lack besides timings: answers to corrupted images, probes, weight
soups of a backbone's seeds, and explanations of mistakes (`explained.py`).

Each evaluation writes arrays and gives the record back, which the caller announces. Answers to
corrupted images come from a trained model, and a trial that is trained now has had its own; probes
come from the pretrained network, so that no trained weights are needed, and from the features that
the training kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.analysis.metrics.base import METRICS
from bench.data import pixels
from bench.errors import BenchError
from bench.inference.measuring.explained import explain, to_explain
from bench.inference.measuring.pending import (
    by_backbone,
    probes_needed,
    robustness_needed,
    soup_candidates,
    soup_needed,
)
from bench.inference.measuring.recorded import with_arrays, with_seconds
from bench.models.backends.base import Array, current
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

CORRUPTED_SECONDS = 30.0  # for a trained model; for the progress shown
PROBES_SECONDS = 10.0  # for a backbone
EXPLAINED_SECONDS = 6.0  # for a model's mistakes
SOUP_SECONDS = 6.0  # for a backbone's seeds
SCORED: tuple[SplitName, ...] = ("validation", "test")  # by a soup

Compute = Callable[[StoredRun, Sequence[Record], Job, Store, OnRows], Iterator[Record]]


@dataclass(frozen=True)
class Evaluation:
    """Something to be computed for one trial, or for all seeds of a backbone."""

    what: str
    records: Sequence[Record]
    seconds: float  # as estimated
    compute: Compute


def evaluations(
    run: StoredRun, job: Job, rebuilt: MutableMapping[str, TrainedModel]
) -> list[Evaluation]:
    """Return what the job's trials still lack; models that are `rebuilt` by then are used."""
    keys = {trial.key for trial in job.trials}
    records = [record for record in run.records if record.trial.key in keys]
    found = [
        Evaluation("corrupted test images", (record,), CORRUPTED_SECONDS, answer_corrupted)
        for record in records
        if robustness_needed(record, job.measuring)
        and weights_path(run.folder, record.trial.key).is_file()
    ]
    found += [
        Evaluation("probes of the frozen features", of_one, PROBES_SECONDS, fit_probes)
        for of_one in by_backbone(r for r in records if probes_needed(r, job.measuring))
    ]
    found += [
        Evaluation("weight soup", of_one, SOUP_SECONDS, make_soup)
        for of_one in (by_backbone(run.records) if job.measuring.soups else ())
        if not keys.isdisjoint(record.trial.key for record in of_one)
        and soup_needed(soup_candidates(of_one, run.folder), of_one)
    ]
    return found + [
        Evaluation("heatmaps", (record,), EXPLAINED_SECONDS, partial(explain, mistakes, rebuilt))
        for record, mistakes in (to_explain(run, job) if job.measuring.heatmaps else ())
    ]


def answer_corrupted(
    run: StoredRun, records: Sequence[Record], job: Job, store: Store, progress: OnRows
) -> Iterator[Record]:
    """Rebuild a trial's model from its kept weights and add its answers to corrupted images."""
    begun = time.perf_counter()
    (record,) = records
    backend = current()
    model = rebuild(run, record)
    forward = backend.forward(model.logits(fold=True))

    def answer(rows: Rows) -> Array:
        return logits_to_probabilities(predict(forward, rows))

    images = pixels.get_entry(job.dataset, "test", record.trial.input_size, store).array()
    labels = pixels.labels(job.dataset, "test")
    record = with_arrays(
        run, record, robustness.predict_corrupted(images, labels, answer, progress)
    )
    yield with_seconds(record, "robustness", time.perf_counter() - begun)


def fit_probes(
    run: StoredRun, records: Sequence[Record], job: Job, store: Store, progress: OnRows
) -> Iterator[Record]:
    """Fit the probes of a backbone and add their answers to the records of its seeds, which share
    them unless each was trained on images of its own."""
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
            answers = probes.fit_and_predict(
                features | {"train": features["train"][chosen]},
                labels | {"train": labels["train"][chosen]},
                len(job.dataset.classes),
            )
            fitted[chosen.tobytes()] = (*answers, time.perf_counter() - begun)
        found, arrays, seconds = fitted[chosen.tobytes()]
        record = replace(with_arrays(run, record, arrays), probes=found)
        reused = shared * (number > 0) + seconds * again
        yield with_seconds(record, "probes", shared + seconds, reused)


def _features(
    run: StoredRun, record: Record, job: Job, store: Store, progress: OnRows
) -> dict[SplitName, Array]:
    """Return the pooled features of the pretrained network, as kept or computed again."""
    frozen = FrozenFeatures.of_record(build_pretrained(run, record), record, job.dataset, store)
    return {split: frozen.pooled(split, progress) for split in SPLITS}


def make_soup(
    run: StoredRun, records: Sequence[Record], job: Job, store: Store, progress: OnRows
) -> Iterator[Record]:
    """Average the weights of a backbone's seeds, and give the result to the record of the trial
    that held the last one, or else of the best.

    Greedily, after Wortsman et al., "Model soups" (2022): the seeds come in the order of their
    validation accuracy, and each is averaged into the soup where the validation accuracy does not
    fall by that. The test images are answered once, by the result.
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
            found = model.answers("validation", both)
            accuracy = float((found.argmax(axis=1) == labels).mean())
        take = accuracy >= highest
        tried.append(Ingredient(record.trial.seed, record.finished, accuracy, take))
        if take:
            highest, validation, taken = accuracy, found, both
    arrays = {}
    if validation is not None:  # of more than one
        answers = {"validation": validation, "test": model.answers("test", taken)}
        arrays = {f"{SOUP_PREFIX}{split}_probabilities": found for split, found in answers.items()}
    holder = next((record for record in records if record.soup is not None), ordered[0][0])
    with_soup = replace(with_arrays(run, holder, arrays), soup=Soup(tuple(tried)))
    yield with_seconds(with_soup, "soup", time.perf_counter() - begun)


def _by_accuracy(run: StoredRun, records: Sequence[Record]) -> list[tuple[Record, float]]:
    """Return the trials with their validation accuracy, the highest first; of equal ones, the
    lowest validation loss."""
    found = []
    for record in records:
        evidence = run.evidence_of(record)
        if (accuracy := METRICS["val_accuracy"].compute(evidence)) is None:
            raise BenchError(f"seed {record.trial.seed} has no usable validation answers")
        found.append((record, accuracy))
    return sorted(found, key=lambda one: -one[1])


class _AveragedModel:
    """The network of a backbone's trials, from what was never trained, and is computed once for
    all from the cache that training filled, to its answers."""

    def __init__(
        self, run: StoredRun, record: Record, job: Job, store: Store, progress: OnRows
    ) -> None:
        self.record, self.network = record, build_pretrained(run, record)
        protocol, backend = job.protocol, current()
        classes = len(job.dataset.classes)
        self.head = build_head(protocol.head, self.network.features_shape, classes)
        self.before = snapshot(self.network.base.weights)
        frozen = FrozenFeatures.of_record(self.network, record, job.dataset, store)
        cut = phase_cuts(self.network, protocol.phases)[-1]
        self.rows = {split: frozen.rows(split, PLAIN, [cut], progress)[cut] for split in SCORED}
        tail = self.network.tail(cut, self.head, protocol.phases[-1], fold=True)
        self.forward = backend.forward(tail)

    def answers(self, split: SplitName, trained: Sequence[TrainedWeights]) -> Array:
        """Return the class probabilities of the mean of these weights."""
        mean = average_weights(self.before, trained)
        assign_weights(self.network.base, self.head, mean, self.record)
        return logits_to_probabilities(predict(self.forward, self.rows[split]))
