"""The greedy weight soup of each backbone with several seeds whose weights were kept.

After Wortsman et al., "Model soups" (2022): the seeds come in the order of their validation
accuracy, and each is averaged into the soup where the validation accuracy does not fall by that.
The test images are answered once, by the result. What was never trained is computed once for all,
from the cache that training filled.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.analysis.metrics.base import METRICS
from bench.data import pixels
from bench.errors import BenchError
from bench.inference.measuring.pending import by_backbone, soup_candidates, soup_needed
from bench.inference.measuring.recorded import with_arrays, with_seconds
from bench.models.backends.base import Array, current
from bench.models.network import build_head, snapshot
from bench.models.rebuild import pretrained, put_weights
from bench.storage.arrays import TrainedWeights, averaged, read_trained
from bench.storage.cache import Store
from bench.storage.records import SOUP_PREFIX, Evidence, StoredRun
from bench.training.augment import PLAIN
from bench.training.features import Frozen, OnRows
from bench.training.job import Job
from bench.training.losses import probabilities
from bench.training.prepared import cuts_of
from bench.training.rows import predict
from bench.types import Ingredient, Record, Soup, SplitName

SCORED: tuple[SplitName, ...] = ("validation", "test")


def soups_to_make(run: StoredRun, job: Job) -> list[list[Record]]:
    """Return the trials of each backbone of the job whose soup is still to be made."""
    keys = {trial.key for trial in job.trials}
    return [
        records
        for records in by_backbone(run.records)
        if not keys.isdisjoint(record.trial.key for record in records)
        and soup_needed(soup_candidates(records, run.folder), records)
    ]


def make_soup(
    run: StoredRun, records: Sequence[Record], job: Job, store: Store, progress: OnRows
) -> Iterator[Record]:
    """Average the weights of a backbone's seeds, and give the result to the record of the trial
    that held the last one, or else of the best."""
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
        evidence = Evidence(record, run.dataset.classes, run.folder)
        if (accuracy := METRICS["val_accuracy"].compute(evidence)) is None:
            raise BenchError(f"seed {record.trial.seed} has no usable validation answers")
        found.append((record, accuracy))
    return sorted(found, key=lambda one: -one[1])


class _AveragedModel:
    """The network of a backbone's trials, from what was never trained to its answers."""

    def __init__(
        self, run: StoredRun, record: Record, job: Job, store: Store, progress: OnRows
    ) -> None:
        self.record, self.network = record, pretrained(run, record)
        protocol, backend = job.protocol, current()
        classes = len(job.dataset.classes)
        self.head = build_head(protocol.head, self.network.features_shape, classes)
        self.before = snapshot(self.network.base.weights)
        frozen = Frozen.of_record(self.network, record, job.dataset, store)
        cut = cuts_of(self.network, protocol.phases)[-1]
        self.rows = {split: frozen.rows(split, PLAIN, [cut], progress)[cut] for split in SCORED}
        fold = backend.gains_from_folding
        tail = self.network.tail(cut, self.head, protocol.phases[-1], fold=fold)
        self.forward = backend.forward(tail)

    def answers(self, split: SplitName, trained: Sequence[TrainedWeights]) -> Array:
        """Return the class probabilities of the mean of these weights."""
        mean = averaged(self.before, trained)
        put_weights(self.network.base, self.head, mean, self.record)
        return probabilities(predict(self.forward, self.rows[split]))
